"""What the registers of a shop do all day: sales, some of members enrolled a moment before, some refunded after.

Every request is sent again, unchanged, until the agent says yes, as registers do.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import aiohttp

from tests.support.strict_flash import StrictFlash
from tests.support.tills import Till

AGAIN_S = 0.01
LATER = {429, 503, 507}  # not now; to be sent again


async def until_accepted(till: Till, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Post until there is a 2xx; returns the operation. Fails on an answer that no retry can mend."""
    while True:
        try:
            status, answer = await till.post(path, {**body})
        except (aiohttp.ClientError, OSError):
            await asyncio.sleep(AGAIN_S)  # nobody there, or no answer: a register tries again
            continue
        if status in {200, 202}:
            till.accepted[f"{path} {answer['id']}"] = answer["id"]
            till.progress.set()
            return answer
        assert status in LATER, (status, answer)
        till.refused[status] += 1
        till.progress.set()
        await asyncio.sleep(AGAIN_S)


async def basket(till: Till, name: str, number: int) -> None:
    """One customer: a sale; of every fourth customer enrolled first, of every third part of it refunded after."""
    order, member = f"{name}-{number}", "POS-CUST-5512"
    if number % 4 == 1:
        member = f"{name}-m{number}"
        await until_accepted(till, "/v1/enrollments", {"externalId": member, "email": f"{member}@example.com"})
    sale = {"externalOrderId": order, "customer": {"externalId": member}, "totalAmount": 20}
    await until_accepted(till, "/v1/sales", sale)
    if number % 3 == 2:
        await until_accepted(till, "/v1/refunds", {"externalOrderId": order, "refundId": "r1", "amount": 5})


async def trade(till: Till, name: str) -> None:
    """Customers without end, one after another."""
    number = 0
    while True:
        await basket(till, name, number)
        number += 1


def unsuccessful(shown: Iterable[Mapping[str, Any]]) -> list[str]:
    """What did not succeed, once all is settled: nothing in this mix gives Flash a reason for a no."""
    return [
        f"{operation['kind']} {operation['id']} is {operation['status']}: {operation['error']}"
        for operation in shown
        if operation["status"] != "succeeded"
    ]


def unawarded(flash: StrictFlash) -> list[str]:
    """Sales of this mix that earned nothing although their members were enrolled first: each is a broken promise."""
    return [
        f"{effect['natural']} overtook its enrollment" for effect in flash.effects if effect["kind"] == "not-a-member"
    ]
