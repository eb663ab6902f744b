"""`POST /v1/documents/{adapter}`: other systems' documents through the same pipe, and what it answers of each item."""

import json
import os
from pathlib import Path

import pytest

from tests.support.agents import running, settings, strict_flash

SALE = {
    "kind": "sale",
    "place": "receipt 1",
    "document": {"externalOrderId": "R-1", "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 120},
}
REFUND = {
    "kind": "refund",
    "place": "receipt 2",
    "document": {"externalOrderId": "R-1", "refundId": "RE-2", "amount": "20.00"},
}
LINES = {"Content_Type": "application/x-ndjson"}


def lines(*records: object) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


async def test_what_is_found_becomes_operations_once(tmp_path: Path):
    with strict_flash() as flash:
        async with running(tmp_path, settings(flash.base_url)) as register:
            first = await register.call("POST", "/v1/documents/canonical", raw=lines(SALE, REFUND), **LINES)
            again = await register.call("POST", "/v1/documents/canonical", raw=lines(SALE, REFUND), **LINES)
            assert first.status == again.status == 200
            assert [item["outcome"] for item in first.json["items"]] == ["accepted", "accepted"]
            assert [item["outcome"] for item in again.json["items"]] == ["replayed", "replayed"]
            ids = [item["operation"]["id"] for item in first.json["items"]]
            assert ids == [item["operation"]["id"] for item in again.json["items"]]
            for operation_id in ids:
                assert (await register.settled(operation_id))["status"] == "succeeded"
            operation = await register.operation(ids[0])
            assert operation["metadata"] == {"adapter": "canonical", "place": "receipt 1"}
        assert flash.doubles() == {}


async def test_a_dry_run_says_the_same_and_stores_nothing(tmp_path: Path):
    bad = {"kind": "sale", "document": {"externalOrderId": "R-3", "customer": {}, "totalAmount": -1}}
    over = {"kind": "refund", "document": {"externalOrderId": "R-1", "refundId": "RE-9", "amount": 500}}
    body = lines(SALE, REFUND, bad, over)
    async with running(tmp_path) as register:
        dry = await register.call("POST", "/v1/documents/canonical?dryRun=true", raw=body, **LINES)
        assert (await register.call("GET", "/v1/operations")).json["operations"] == []
        real = await register.call("POST", "/v1/documents/canonical", raw=body, **LINES)
        assert dry.json["dryRun"] is True
        assert dry.json["totals"] == real.json["totals"]
        assert real.json["totals"] == {"accepted": 2, "replayed": 0, "skipped": 0, "faulty": 1, "refused": 1}
        for ours, theirs in zip(dry.json["items"], real.json["items"], strict=True):
            assert (ours["outcome"], ours["reason"]) == (theirs["outcome"], theirs["reason"])
            if ours["operation"]:
                assert ours["operation"]["id"] is None
                assert ours["operation"]["request"] == theirs["operation"]["request"]
        assert "customer needs memberId" in real.json["items"][2]["reason"]["reason"]


async def test_a_dry_run_of_many_sees_across_its_pieces(tmp_path: Path):
    """A long document is rehearsed in pieces; a refund in a later one still knows its sale in an earlier one."""
    others = [
        {"kind": "sale", "document": {"externalOrderId": f"S-{n}", "customer": {"externalId": "C"}, "totalAmount": 1}}
        for n in range(120)
    ]
    over = {"kind": "refund", "document": {"externalOrderId": "R-1", "refundId": "RE-9", "amount": 500}}
    rest = {"kind": "refund", "document": {"externalOrderId": "R-1", "refundId": "RE-8"}}
    async with running(tmp_path) as register:
        body = lines(SALE, *others, over, rest)
        dry = await register.call("POST", "/v1/documents/canonical?dryRun=true", raw=body, **LINES)
        assert dry.json["items"][-2]["reason"]["errors"] == [
            {"field": "amount", "message": "must be at most 120, which is left of this sale"}
        ]
        assert dry.json["items"][-1]["operation"]["request"]["amount"] == 120
        assert dry.json["totals"]["accepted"] == 122


async def test_ids_of_documents_are_whole(tmp_path: Path):
    """The till's templates are for its own register's numbers."""
    chosen = settings(orders={"id_template": "{store_id}-{till_id}-{business_date}-{external_order_id}"})
    async with running(tmp_path, chosen) as register:
        taken = await register.call("POST", "/v1/documents/canonical", raw=lines(SALE, REFUND), **LINES)
        assert {item["operation"]["upstreamOrderId"] for item in taken.json["items"]} == {"R-1"}


async def test_master_data_is_the_operators(tmp_path: Path):
    store = {"kind": "store", "document": {"externalId": "S-18", "name": "Downtown"}}
    with strict_flash() as flash:
        async with running(tmp_path, settings(flash.base_url)) as register:
            refused = await register.call("POST", "/v1/documents/canonical", raw=lines(store), **LINES)
            assert refused.json["items"][0]["reason"]["code"] == "forbidden"
            taken = await register.call("POST", "/v1/documents/canonical", raw=lines(store), scope="operator", **LINES)
            assert taken.json["items"][0]["outcome"] == "accepted"
            direct = await register.call("POST", "/v1/stores", store["document"], scope="operator")
            assert direct.headers["Idempotency-Replayed"] == "true"


async def test_customers_are_not_created(tmp_path: Path):
    member = {"kind": "member", "document": {"externalId": "C-77", "email": "ada@example.com"}}
    async with running(tmp_path) as register:
        taken = await register.call("POST", "/v1/documents/canonical", raw=lines(member), scope="operator", **LINES)
        assert taken.json["items"][0]["reason"]["code"] == "member-push-off"
    async with running(tmp_path, settings(documents={"push_members": True})) as register:
        taken = await register.call("POST", "/v1/documents/canonical", raw=lines(member), scope="operator", **LINES)
        assert taken.json["items"][0]["operation"]["kind"] == "enrollment"


async def test_what_cannot_be_read_is_said(tmp_path: Path):
    async with running(tmp_path) as register:
        unknown = await register.call("POST", "/v1/documents/nowhere", raw=b"{}", **LINES)
        assert (unknown.status, unknown.json["code"]) == (404, "adapter-not-found")
        media = await register.call("POST", "/v1/documents/canonical", raw=b"{}", Content_Type="application/pdf")
        assert media.status == 415
        assert "JSON" not in media.json["title"]  # of many adapters it need not be
        empty = await register.call("POST", "/v1/documents/canonical", raw=b"", **LINES)
        assert empty.json["items"][0]["reason"]["code"] == "nothing-in-it"
        torn = await register.call("POST", "/v1/documents/canonical", raw=b'{"kind": "sale', **LINES)
        assert torn.json["totals"]["faulty"] == 1
        query = await register.call("POST", "/v1/documents/canonical?dryRun=perhaps", raw=b"{}", **LINES)
        assert query.status == 422


@pytest.mark.parametrize("query", ["dryrun=true", "dry_run=true", "dryRun=true&dryRun=false", "dryRun=true&then=no"])
async def test_a_misspelled_dry_run_stores_nothing(tmp_path: Path, query: str):
    async with running(tmp_path) as register:
        answer = await register.call("POST", f"/v1/documents/canonical?{query}", raw=lines(SALE), **LINES)
        assert (answer.status, answer.json["code"]) == (422, "validation")
        assert answer.json["errors"][0]["field"] in {"query", "dryRun"}
        assert (await register.call("GET", "/v1/operations")).json["operations"] == []


async def test_a_document_has_its_own_limits(tmp_path: Path):
    async with running(tmp_path, settings(documents={"max_bytes": 4096})) as register:
        large = await register.call("POST", "/v1/documents/canonical", raw=b" " * 5000, **LINES)
        assert (large.status, large.json["code"]) == (413, "body-too-large")
    async with running(tmp_path) as register:
        many = await register.call("POST", "/v1/documents/canonical", raw=b"1\n" * 1001, **LINES)
        assert (many.status, many.json["code"]) == (413, "too-many-items")


async def test_the_adapters_are_listed(tmp_path: Path):
    async with running(tmp_path) as register:
        listed = await register.call("GET", "/v1/adapters")
        assert "canonical" in [adapter["name"] for adapter in listed.json["adapters"]]
        assert listed.json["site"]["currency"] == "USD"


async def test_a_system_with_a_native_connector_waits_for_the_word_that_it_is_off(tmp_path: Path):
    """Both at work would award an order twice."""
    order = {"id": 17, "financial_status": "paid", "total_price": "12.00", "email": "ada@example.com"}
    sent = {"raw": json.dumps({"order": order}).encode(), "Content_Type": "application/json"}
    async with running(tmp_path) as register:
        refused = await register.call("POST", "/v1/documents/shopify", **sent)
        assert (refused.status, refused.json["code"], refused.json["stored"]) == (409, "adapter-not-configured", False)
        assert 'native_connector = "off"' in refused.json["detail"]
        assert "start the agent anew" in refused.json["detail"]
        dry = await register.call("POST", "/v1/documents/shopify?dryRun=true", **sent)
        assert dry.status == 409
        listed = (await register.call("GET", "/v1/adapters")).json["adapters"]
        lacking = {adapter["name"]: adapter["lacking"] for adapter in listed}
        assert "awarded twice" in lacking["shopify"]
        assert lacking["canonical"] is None
    async with running(tmp_path, settings(adapters={"shopify": {"native_connector": "off"}})) as register:
        taken = await register.call("POST", "/v1/documents/shopify", **sent)
        operation = taken.json["items"][0]["operation"]
        assert operation["idempotencyKey"] == "shopify-order:gid://shopify/Order/17"
        assert operation["upstreamOrderId"] == "shopify-order:17"


async def test_a_dry_run_of_too_many_that_depend_on_each_other_is_refused(tmp_path: Path):
    """Each looks at all before it in one go, in which no register is answered: a thousand took many seconds."""
    refunds = [
        {"kind": "refund", "document": {"externalOrderId": "R-1", "refundId": f"RE-{n}", "amount": "0.10"}}
        for n in range(160)
    ]
    async with running(tmp_path) as register:
        path = "/v1/documents/canonical"
        dry = await register.call("POST", f"{path}?dryRun=true", raw=lines(SALE, *refunds), **LINES)
        assert (dry.status, dry.json["code"]) == (413, "too-many-items")
        some = await register.call("POST", f"{path}?dryRun=true", raw=lines(SALE, *refunds[:100]), **LINES)
        assert some.json["totals"]["accepted"] == 101
        real = await register.call("POST", path, raw=lines(SALE, *refunds), **LINES)
        assert real.json["totals"]["accepted"] == 161


@pytest.mark.skipif(os.name != "posix", reason="elsewhere an open file cannot be deleted")
async def test_a_document_that_cannot_be_stored_is_to_be_sent_again(tmp_path: Path):
    """Its items are not refused: whoever hears that they are does not send them again."""
    async with running(tmp_path) as register:
        await register.call("POST", "/v1/documents/canonical", raw=lines(SALE), **LINES)
        (tmp_path / "agent.db").unlink()
        other = {**SALE, "document": {**SALE["document"], "externalOrderId": "R-2"}}
        catalog = {"kind": "catalog", "document": {"source": "erp", "brands": [{"externalId": "1", "name": "Acme"}]}}
        for record in (REFUND, other, catalog):
            sent = {"raw": lines(record), "scope": "operator", **LINES}
            answer = await register.call("POST", "/v1/documents/canonical", **sent)
            assert (answer.status, answer.json["retryable"]) == (503, True)
