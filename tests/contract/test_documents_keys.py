"""The key under which a document's order goes to Flash: who may choose it, and which can never be another order's."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from agent.adapters import registry
from agent.adapters.base import Found, Site
from tests.support.agents import running, settings, strict_flash

LINES = {"Content_Type": "application/x-ndjson"}


def line(order_id: str, **more: Any) -> bytes:
    document = {"externalOrderId": order_id, "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 120}
    return json.dumps({"kind": "sale", "document": document, **more}).encode() + b"\n"


async def test_a_register_cannot_use_up_the_key_of_another_order(tmp_path: Path):
    """With the key of order 123 order "mine" took its place: 123 was then a conflict, and no points came of it."""
    agreed = "shopify-order:gid://shopify/Order/123"
    with strict_flash() as flash:
        async with running(tmp_path, settings(flash.base_url)) as register:
            for query in ("?dryRun=true", ""):
                taken = await register.call(
                    "POST", f"/v1/documents/canonical{query}", raw=line("mine", key=agreed) + line("other"), **LINES
                )
                first, second = taken.json["items"]
                assert (first["outcome"], first["reason"]["code"]) == ("faulty", "key-not-yours")
                assert second["outcome"] == "accepted"
            own = await register.call(
                "POST", "/v1/documents/canonical", raw=line("123", key=agreed), scope="operator", **LINES
            )
            operation = own.json["items"][0]["operation"]
            assert operation["idempotencyKey"] == agreed
            assert (await register.settled(operation["id"]))["status"] == "succeeded"


@pytest.mark.parametrize(
    "key",
    [
        "sale-90871", "Sale-90871", "refund-90871:re_1", "batch-0", "catalog~0", "agreed.2", "agreed ", " agreed",
        "a b", " ", "", "ä", "a\tb", "k" * 201, 7, [], {},
    ],
)  # fmt: skip
def test_no_document_can_give_the_key_of_another_operation(key: object):
    """Blanks at an end are lost on the way, what the agent makes itself is taken, and `.2` is a later try's."""
    (item,) = registry.adapter("canonical").parse(
        line("R-1", key=key), registry.options_of("canonical", {}), Site("USD")
    )
    assert (item.code, item.fault) == ("unsound", True)
    assert item.reason.startswith("key must ")


@pytest.mark.parametrize("key", ["agreed-key-7", "shopify-order:gid://shopify/Order/1", "k" * 200, "sales-1", "v1.2-x"])
def test_any_other_key_is_kept_as_it_is(key: str):
    (item,) = registry.adapter("canonical").parse(
        line("R-1", key=key), registry.options_of("canonical", {}), Site("USD")
    )
    assert isinstance(item, Found)
    assert item.key == key


async def test_what_a_page_can_send_without_asking_is_no_document(tmp_path: Path):
    """A browser sends these to anybody; all others it asks about first."""
    without_asking = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "")
    async with running(tmp_path) as register:
        for name in registry.MODULES:
            assert not set(registry.adapter(name).media) & set(without_asking)
            for media in without_asking:
                refused = await register.call(
                    "POST", f"/v1/documents/{name}", raw=line("R-1"), scope="operator", Content_Type=media
                )
                assert refused.status == 415
        packed = await register.call(
            "POST", "/v1/documents/canonical", raw=gzip.compress(line("R-1")), Content_Encoding="gzip", **LINES
        )
        assert packed.status == 415
        assert (await register.call("GET", "/v1/operations")).json["operations"] == []
