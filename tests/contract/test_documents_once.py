"""Two documents of one purchase, of a system that shows it in two kinds of record: one award, whatever they say."""

import json
from pathlib import Path

import pytest

from tests.adapters.salesforce_records import ORIGINAL, back, order, summary
from tests.support.agents import running, settings, strict_flash

ORDERED = order(Id=ORIGINAL, TotalAmount=240.5)


@pytest.mark.parametrize("first_is_the_order", [True, False])
async def test_an_order_and_its_summary_are_awarded_once(tmp_path: Path, *, first_is_the_order: bool):
    records = [ORDERED, summary()] if first_is_the_order else [summary(), ORDERED]
    shrunk = summary(GrandTotalAmount=220.5)
    with strict_flash() as flash:
        async with running(tmp_path, settings(flash.base_url)) as register:

            async def post(document: object) -> dict:
                raw = json.dumps(document).encode()
                return (await register.call("POST", "/v1/documents/salesforce", raw=raw)).json["items"][0]

            first, second = [await post(each) for each in records]
            assert (first["outcome"], second["outcome"]) == ("accepted", "replayed")
            assert first["operation"]["id"] == second["operation"]["id"]
            assert (await register.settled(first["operation"]["id"]))["status"] == "succeeded"
            other = await post(shrunk)
            assert (other["outcome"], other["reason"]["code"]) == ("refused", "order-conflict")
            refund = await post(back(OrderId=ORIGINAL))
            assert (await register.settled(refund["operation"]["id"]))["status"] == "succeeded"
        assert flash.doubles() == {}
