"""Large documents are taken in one at a time, for each takes many times its size in memory; small ones pass."""

import asyncio
import json
from pathlib import Path

from agent.api.handlers.documents_taken import LARGE_BYTES
from tests.support.agents import running, settings

LINES = {"Content_Type": "application/x-ndjson"}


def line(order_id: str) -> bytes:
    document = {"externalOrderId": order_id, "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 120}
    return json.dumps({"kind": "sale", "document": document}).encode() + b"\n"


async def test_large_documents_wait_for_each_other_and_nobody_waits_for_them(tmp_path: Path):
    """Six of 15 MiB at once took a gigabyte."""
    async with running(tmp_path) as register:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(register.base_url.rsplit(":", 1)[1]))
        head = [
            "POST /v1/documents/canonical HTTP/1.1",
            f"Host: {register.base_url.removeprefix('http://')}",
            f"Authorization: {register.headers('register')['Authorization']}",
            "Content-Type: application/x-ndjson",
            f"Content-Length: {LARGE_BYTES + 1}",
            "Expect: 100-continue",
        ]
        writer.write("\r\n".join([*head, "", ""]).encode())
        assert b"100 Continue" in await reader.readline()
        await register.call(
            "POST", "/v1/documents/canonical", raw=line("R-0"), **LINES
        )  # the first has its turn by now
        blanks = b"\n" * LARGE_BYTES
        second = asyncio.create_task(
            register.call("POST", "/v1/documents/canonical", raw=line("R-1") + blanks, **LINES)
        )
        for number in range(2, 8):
            small = await register.call("POST", "/v1/documents/canonical", raw=line(f"R-{number}"), **LINES)
            assert small.json["totals"]["accepted"] == 1
        dry = await register.call("POST", "/v1/documents/canonical?dryRun=true", raw=line("R-9"), **LINES)
        assert dry.status == 200
        assert not second.done()
        writer.write(line("R-8").ljust(LARGE_BYTES + 1, b"\n"))
        status = await reader.readuntil(b"\r\n\r\n")
        assert b"200 OK" in status
        assert (await second).json["totals"]["accepted"] == 1
        writer.close()


async def test_one_that_is_refused_leaves_its_turn(tmp_path: Path):
    async with running(tmp_path, settings(documents={"max_bytes": LARGE_BYTES + 4096})) as register:
        for raw, code in ((b"\n" * (LARGE_BYTES + 5000), "body-too-large"), (b"{}\n" * 175_000, "too-many-items")):
            refused = await register.call("POST", "/v1/documents/canonical", raw=raw, **LINES)
            assert (refused.status, refused.json["type"].rsplit(":", 1)[1]) == (413, code)
        large = line("R-1").ljust(LARGE_BYTES + 1, b"\n")
        taken = await register.call("POST", "/v1/documents/canonical", raw=large, **LINES)
        assert taken.json["totals"]["accepted"] == 1
