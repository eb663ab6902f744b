"""What is kept of where a document came from, when its sender has read a file itself."""

import json
from pathlib import Path

from tests.support.agents import running

SALE = {
    "kind": "sale",
    "place": "receipt 1",
    "document": {"externalOrderId": "R-1", "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 120},
}
LINES = {"Content_Type": "application/x-ndjson"}


async def test_a_sender_that_has_read_a_file_itself_says_which_and_with_what(tmp_path: Path):
    async with running(tmp_path) as register:
        path = "/v1/documents/canonical?origin=jsonl&file=day%2014.jsonl"
        taken = await register.call("POST", path, raw=json.dumps(SALE).encode(), **LINES)
        operation = taken.json["items"][0]["operation"]
        assert operation["metadata"] == {"adapter": "jsonl", "file": "day 14.jsonl", "place": "receipt 1"}
        for query in ("origin=nowhere", "origin=", "file=", "file=a%0Ab", f"file={'x' * 201}"):
            refused = await register.call(
                "POST", f"/v1/documents/canonical?{query}", raw=json.dumps(SALE).encode(), **LINES
            )
            assert (refused.status, refused.json["errors"][0]["field"]) == (422, query.split("=")[0])
        refused = await register.call(
            "POST", "/v1/documents/jsonl?origin=canonical", raw=json.dumps(SALE).encode(), **LINES
        )
        assert refused.status == 422


async def test_what_a_document_says_of_its_own_origin_does_not_count(tmp_path: Path):
    own = {"adapter": "sap", "place": "elsewhere", "file": "another.xml", "lane": 4}
    record = {**SALE, "document": {**SALE["document"], "metadata": own}}
    async with running(tmp_path) as register:
        path = "/v1/documents/canonical?file=day.jsonl"
        taken = await register.call("POST", path, raw=json.dumps(record).encode(), **LINES)
        operation = await register.operation(taken.json["items"][0]["operation"]["id"])
    assert operation["metadata"] == {"adapter": "canonical", "place": "receipt 1", "file": "day.jsonl", "lane": 4}
