"""The naive durable server: aiohttp, pydantic, aiosqlite, and one commit per sale (WAL, synchronous=FULL).

A lock keeps each sale's insert and commit together. Without it (``--shared``) requests that overlap write
into one another's transaction: faster, for a commit then covers what others had inserted, and wrong, for a
rollback would too. Both are measured; the target is set against the correct one.

``python -m benchmarks.peers.naive --port P --dir D [--shared]``
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

import aiosqlite
from aiohttp import web

from benchmarks.peers.sale_model import PlainSale
from benchmarks.peers.serve import serve

DATABASE = web.AppKey("database", aiosqlite.Connection)
DIRECTORY = web.AppKey("directory", Path)
TRANSACTION = web.AppKey("transaction", AbstractAsyncContextManager[None])

_SCHEMA = "CREATE TABLE sale (external_order_id TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT"
_INSERT = "INSERT INTO sale (external_order_id, body) VALUES (?, ?)"


async def accept(request: web.Request) -> web.Response:
    """Validate, insert, commit, answer."""
    body = await request.read()
    sale = PlainSale.model_validate_json(body)
    database = request.app[DATABASE]
    async with request.app[TRANSACTION]:
        await database.execute(_INSERT, (sale.externalOrderId, body))
        await database.commit()
    return web.json_response({"id": sale.externalOrderId, "status": "pending"}, status=202)


async def _open_database(app: web.Application) -> AsyncIterator[None]:
    async with aiosqlite.connect(app[DIRECTORY] / "naive.db") as database:
        await database.execute("PRAGMA journal_mode=WAL")
        await database.execute("PRAGMA synchronous=FULL")
        await database.execute(_SCHEMA)
        await database.commit()
        app[DATABASE] = database
        yield


def main() -> None:
    """Entry of the process."""
    parser = argparse.ArgumentParser(prog="benchmarks.peers.naive", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--shared", action="store_true", help="let overlapping requests share a transaction")
    options = parser.parse_args()
    app = web.Application()
    app[TRANSACTION] = nullcontext() if options.shared else asyncio.Lock()
    app[DIRECTORY] = options.dir
    app.cleanup_ctx.append(_open_database)
    app.router.add_post("/v1/sales", accept)
    serve(app, options.port)


if __name__ == "__main__":
    main()
