"""Documents of an ERP and an OMS on their way to Flash: what is one sale or one refund there is counted once."""

import json
from pathlib import Path

from tests.adapters.test_sap import CREDIT, INVOICE, ORDER, RETURN
from tests.adapters.test_sterling import ORDER as SOLD
from tests.adapters.test_sterling import line, returned
from tests.support.agents import running, settings, strict_flash


async def post(register, adapter: str, document: object) -> list[dict]:
    answer = await register.call(
        "POST", f"/v1/documents/{adapter}", raw=json.dumps(document).encode(), Content_Type="application/json"
    )
    assert answer.status == 200
    return answer.json["items"]


async def test_a_return_and_its_credit_memo_take_the_points_back_once(tmp_path: Path):
    with strict_flash() as flash:
        chosen = settings(flash.base_url, adapters={"sap": {"basis": "net"}}, store={"currency": "EUR"})
        async with running(tmp_path, chosen) as register:
            items = await post(register, "sap", [INVOICE, RETURN, CREDIT])
            assert [item["outcome"] for item in items] == ["accepted", "accepted", "replayed"]
            assert items[1]["operation"]["id"] == items[2]["operation"]["id"]
            for item in items[:2]:
                settled = await register.settled(item["operation"]["id"])
                assert settled["status"] == "succeeded"
            inspected = {**CREDIT, "TotalNetAmount": "40.00"}
            (differing,) = [item for item in await post(register, "sap", [RETURN, inspected]) if item["reason"]]
            assert (differing["outcome"], differing["reason"]["code"]) == ("refused", "refund-conflict")
        assert flash.doubles() == {}


async def test_an_order_is_one_sale_whichever_document_earns(tmp_path: Path):
    for award, outcome in (("billing", "accepted"), ("order", "replayed")):
        chosen = settings(adapters={"sap": {"award": award}}, store={"currency": "EUR"})
        async with running(tmp_path, chosen) as register:
            items = await post(register, "sap", [INVOICE, ORDER])
            assert sorted(item["outcome"] for item in items) == sorted([outcome, "skipped"])


async def test_a_return_of_two_orders_refunds_each(tmp_path: Path):
    other = {**SOLD, "OrderNo": "Y1002"}
    with strict_flash() as flash:
        async with running(tmp_path, settings(flash.base_url)) as register:
            items = await post(
                register, "sterling", {"Order": [SOLD, other, returned(line("9.00"), line("5.00", "Y1002"))]}
            )
            assert [item["outcome"] for item in items] == ["accepted"] * 4
            for item in items:
                assert (await register.settled(item["operation"]["id"]))["status"] == "succeeded"
        assert flash.doubles() == {}
