"""aiohttp and pydantic without any storage: what the framework alone can do.

The fastest that this stack can answer; stands in for ``hollow.py`` where another agent than the tree's is measured.
``python -m benchmarks.peers.plain --port P``
"""

from __future__ import annotations

import argparse

from aiohttp import web

from benchmarks.peers.sale_model import PlainSale
from benchmarks.peers.serve import serve


async def accept(request: web.Request) -> web.Response:
    """Validate and answer."""
    sale = PlainSale.model_validate_json(await request.read())
    return web.json_response({"id": sale.externalOrderId, "status": "pending"}, status=202)


def main() -> None:
    """Entry of the process."""
    parser = argparse.ArgumentParser(prog="benchmarks.peers.plain", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    app = web.Application()
    app.router.add_post("/v1/sales", accept)
    serve(app, options.port)


if __name__ == "__main__":
    main()
