"""What the tests of spool folders share: a till with a folder, files in it, and where they went."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from agent.config import Settings
from tests.support.agents import Register, running, settings, until

QUICK = {"settle_s": 0.1, "patience_s": 0.3, "poll_s": 1.0}


def chosen(folder: Path, base_url: str = "http://127.0.0.1:9/api/v2", **spool: Any) -> Settings:
    """The settings of a till with this spool folder, whose pauses are short."""
    return settings(base_url, spool={"folders": {"canonical": str(folder)}, **QUICK, **spool})


@contextlib.asynccontextmanager
async def spooling(folder: Path, base_url: str = "http://127.0.0.1:9/api/v2", **spool: Any) -> AsyncIterator[Register]:
    """A register of such a till."""
    async with running(folder.parent / "data", chosen(folder, base_url, **spool)) as register:
        yield register


def sale(order: str, **fields: Any) -> bytes:
    """A line of a document of the agent's own form."""
    document = {"externalOrderId": order, "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 20, **fields}
    return json.dumps({"kind": "sale", "place": f"receipt {order}", "document": document}).encode() + b"\n"


def put(folder: Path, name: str, content: bytes) -> None:
    """As it should be done: written under another name, then renamed."""
    draft = folder / f".{name}"
    draft.write_bytes(content)
    draft.rename(folder / name)


def waiting(folder: Path) -> list[str]:
    """Names of what lies in the folder."""
    return sorted(path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def done(folder: Path) -> list[str]:
    """Names of what was taken whole."""
    return sorted(path.name for path in folder.glob("done/*/*"))


def failed(folder: Path) -> list[str]:
    """Names of what waits for a person, and of the reports."""
    return sorted(path.name for path in folder.glob("failed/*"))


async def comes(holds: Any, seconds: float = 45.0) -> None:
    """Look again and again until it holds."""

    async def asked() -> bool:
        return bool(holds())

    await until(asked, seconds)


async def comes_problem(register: Register, words: str) -> None:
    """Wait until the folder's trouble is told in these words."""

    async def told() -> bool:
        return words in ((await state(register))["problem"] or "")

    await until(told)


async def state(register: Register) -> dict[str, Any]:
    """What the status says of the first folder."""
    return (await register.status())["spool"][0]


async def orders(register: Register) -> list[str]:
    """Upstream ids of all operations, sorted."""
    listed = (await register.call("GET", "/v1/operations?limit=200")).json["operations"]
    return sorted(operation["upstreamOrderId"] for operation in listed)
