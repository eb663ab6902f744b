"""The promises of the whole, against an independent strict Flash: real processes, real kills, real sockets."""

import asyncio
import itertools
import random
from pathlib import Path

import aiohttp
import pytest

from tests.support.agents import WRITE_KEY, agent_process
from tests.support.strict_flash import StrictFlash
from tests.support.tills import Till

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
MEMBER = {"externalId": "POS-CUST-5512", "email": "ada@example.com"}


def strict_flash() -> StrictFlash:
    flash = StrictFlash(members=[MEMBER])
    flash.add_key(WRITE_KEY, "t1", scope="write")
    return flash


async def test_a_thousand_sales_two_kills_and_lost_answers_each_land_once(tmp_path: Path) -> None:
    """1,000 sales posted while Flash is down, two kills meanwhile, then every tenth answer lost after commit."""
    with strict_flash() as flash, agent_process(tmp_path, flash.base_url) as agent:
        flash.stop()
        async with aiohttp.ClientSession() as session:
            till = Till(agent, session)
            orders = [f"till-1-{number}" for number in range(1000)]
            random.Random(7).shuffle(orders)
            again = asyncio.Event()

            async def register(queue: "itertools.count[int]") -> None:
                for index in queue:
                    if index >= len(orders):
                        return
                    await till.sell_until_accepted(orders[index], again)

            queue = itertools.count()
            registers = [asyncio.create_task(register(queue)) for _ in range(8)]
            for threshold in (300, 650):
                await till.has_accepted(threshold)
                again.clear()
                agent.kill()
                await asyncio.to_thread(agent.start)
                again.set()
            await asyncio.gather(*registers)
            assert len(till.accepted) == 1000

            flash.fault("lost-answer", every=10)
            flash.start()
            await till.settled(flash)

            assert flash.violations == []
            assert flash.doubles() == {} or not flash.doubles()
            assert {order: flash.awards[order] for order in orders} == dict.fromkeys(orders, 1)
            operations = await till.operations()
            assert {operation["status"] for operation in operations} == {"succeeded"}
            assert {operation["id"] for operation in operations} >= set(till.accepted.values())
            assert len(operations) == 1000


async def test_enrollment_sale_and_refund_queued_offline_land_in_that_order(tmp_path: Path) -> None:
    with strict_flash() as flash, agent_process(tmp_path, flash.base_url) as agent:
        flash.stop()
        async with aiohttp.ClientSession() as session:
            till = Till(agent, session)
            customer = {"email": "Grace@Example.com"}
            _, enrollment = await till.post("/v1/enrollments", {"email": "grace@example.com ", "externalId": "C-9"})
            _, sale = await till.post("/v1/sales", {"externalOrderId": "1", "customer": customer, "totalAmount": 100})
            _, refund = await till.post("/v1/refunds", {"externalOrderId": "1", "refundId": "r1", "amount": "40.00"})
            assert sale["waitingFor"] == [enrollment["id"]]
            assert refund["waitingFor"] == [sale["id"]]
            agent.kill()
            agent.start()
            flash.start()
            await till.settled(flash)
            assert [effect["kind"] for effect in flash.effects] == ["enroll", "award", "refund"]
            assert flash.violations == []
            shown = [await till.get(operation["href"]) for operation in (enrollment, sale, refund)]
            assert [operation["status"] for operation in shown] == ["succeeded"] * 3
            assert shown[1]["result"]["awarded"] == 5


async def test_a_poison_sale_among_five_hundred_fails_alone(tmp_path: Path) -> None:
    with strict_flash() as flash, agent_process(tmp_path, flash.base_url) as agent:
        flash.stop()
        flash.poison("o-250")
        async with aiohttp.ClientSession() as session:
            till = Till(agent, session)
            await asyncio.gather(*(till.sell_until_accepted(f"o-{n}", asyncio.Event()) for n in range(500)))
            flash.start()
            await till.settled(flash)
            failed = await till.operations(status="failed")
            assert [operation["upstreamOrderId"] for operation in failed] == ["o-250"]
            assert failed[0]["error"]["code"] == "validation"
            assert sum(flash.awards.values()) == 499
            assert flash.violations == []
            conditions = (await till.get("/v1/status"))["conditions"]
            assert "operations-failed" in {condition["code"] for condition in conditions}


async def test_a_waiting_cashier_gets_points_during_a_drain(tmp_path: Path) -> None:
    with strict_flash() as flash, agent_process(tmp_path, flash.base_url) as agent:
        flash.stop()
        async with aiohttp.ClientSession() as session:
            till = Till(agent, session)
            for start in range(0, 3000, 250):
                batch = (till.sell_until_accepted(f"b-{n}", asyncio.Event()) for n in range(start, start + 250))
                await asyncio.gather(*batch)
            flash.fault("latency", ms=25)
            flash.start()
            body = {"externalOrderId": "cashier-0", "customer": MEMBER, "totalAmount": 120}
            status, _ = await till.post("/v1/sales", body, wait=2)
            during = []
            for number in range(1, 13):
                body = {"externalOrderId": f"cashier-{number}", "customer": MEMBER, "totalAmount": 120}
                status, operation = await till.post("/v1/sales", body, wait=2)
                during.append((status, operation["status"], operation["result"].get("awarded")))
            assert (await till.get("/v1/status"))["pending"] > 0, "the drain was over before the cashiers came"
            assert during == [(200, "succeeded", 6)] * 12
            await till.settled(flash)
            assert flash.violations == []
