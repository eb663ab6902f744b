"""A till's day in POSLog, through the agent to Flash: what earns lands once, and what came back is taken back."""

from decimal import Decimal
from pathlib import Path

from tests.adapters.golden import FIXTURES
from tests.support.agents import running, settings, strict_flash

DAY = (FIXTURES / "poslog" / "till_day_2_2.xml").read_bytes()


async def test_a_day_lands_once_however_often_it_is_sent(tmp_path: Path):
    with strict_flash() as flash:
        for number in ("LOY-700001", "LOY-700002", "CARD-900001"):
            flash.add_member(externalId=number)
        async with running(tmp_path, settings(flash.base_url, documents={"stores": {"12": "st_1"}})) as register:
            for _ in range(2):
                taken = await register.call("POST", "/v1/documents/poslog", raw=DAY, Content_Type="application/xml")
                assert taken.status == 200
            operations = [item["operation"]["id"] for item in taken.json["items"] if item["operation"]]
            settled = [await register.settled(operation) for operation in operations]
        assert {operation["status"] for operation in settled} == {"succeeded"}
        assert taken.json["totals"] == {"accepted": 0, "replayed": 10, "skipped": 7, "faulty": 2, "refused": 0}
        assert flash.doubles() == {}
        assert flash.violations == []
        orders = flash.state.tenant("t1").orders
    left = {name: Decimal(order["totalAmount"]) - Decimal(order["refunded"]) for name, order in orders.items()}
    assert left == {
        "12-2026-03-14-4-2": 0,  # both of its items came back, one by a return and one by an exchange
        "12-2026-03-14-4-6": 0,  # resumed, and voided afterwards
        "12-2026-03-15-5-2": 25,
        "12-2026-03-14-4-10": 30,
        "12-2026-03-14-4-11": 10,
        "12-2026-03-14-4-13": 7,
        "12-2026-03-14-4-14": Decimal("7.56"),
    }
