"""What the tests of imported catalogs share: documents with rows, and what was kept and sent of them."""

import contextlib
import json
import sqlite3

LINES = {"Content_Type": "application/x-ndjson", "scope": "operator"}


def catalog(place="line", source="erp", **rows):
    """A line of a document of the agent's own form."""
    return {"kind": "catalog", "place": place, "document": {"source": source, **rows}}


def product(number, title="A", **more):
    """A row of it."""
    return {"externalId": f"P-{number}", "title": title, **more}


async def take(register, *records, dry=False):
    """What became of a document of these lines."""
    raw = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    path = f"/v1/documents/canonical?dryRun={'true' if dry else 'false'}"
    answer = await register.call("POST", path, raw=raw, **LINES)
    assert answer.status == 200, answer
    return answer.json


async def settled(register, taken):
    """The operations of a document, once they are settled."""
    ids = dict.fromkeys(each for item in taken["items"] for each in item["catalog"]["operations"])
    return [await register.settled(each) for each in ids]


def imports(flash):
    """The bodies of the calls that Flash saw."""
    return [seen.request.json for seen in flash.requests if seen.request.route == "POST /catalog/import"]


def sent_products(flash):
    """The ids of the products in them, in the order of sending."""
    return [row["externalId"] for body in imports(flash) for row in body.get("products", ())]


def kept_rows(tmp_path, condition):
    """How many rows are kept of operations of which this holds; the agent has stopped."""
    sql = f"SELECT count(*) FROM catalog_row LEFT JOIN operation USING (seq) WHERE {condition}"  # noqa: S608
    with contextlib.closing(sqlite3.connect(tmp_path / "agent.db")) as connection:
        return connection.execute(sql).fetchone()[0]
