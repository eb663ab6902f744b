"""What the tests of redemptions share: a till with a coupon, a register that redeems it, what the oracle saw."""

import asyncio
import contextlib
import sqlite3

import agent.flash.transport  # noqa: F401 - loaded before a wait of a moment begins, in which something is to be sent
from agent.clock import Clock
from tests.support.agents import until

MEMBER = {"externalId": "POS-CUST-5512"}
COUPON = "C-5"


LONG_S = 25  # of waits that end when a test says so


class EndingClock(Clock):
    """The real clock; `end_waits` has every wait that began before it be over."""

    def __init__(self):
        super().__init__()
        self._ahead_s = 0.0

    def end_waits(self):
        self._ahead_s += 2 * LONG_S

    def monotonic(self):
        return super().monotonic() + self._ahead_s


def coupon(flash, coupon_id=COUPON, **options):
    """A coupon of the member POS-CUST-5512."""
    member = flash.state.tenant("t1").member(externalId="POS-CUST-5512")
    flash.add_coupon(coupon_id, member["id"], **options)


def posts(flash, coupon_id=COUPON):
    """The redeem calls that reached Flash."""
    return [seen for seen in flash.requests if seen.request.naturals == [f"coupon:{coupon_id}"]]


def burns(flash, coupon_id=COUPON):
    """How often Flash burned it."""
    return sum(effect["natural"] == f"coupon:{coupon_id}" for effect in flash.effects)


class NoSightings:
    """What a till has seen of coupons that has seen none."""

    async def sighting(self, coupon_id, subjects):
        return None


async def redeem(register, basket="T-1", coupon_id=COUPON, *, wait=None, **fields):
    """POST /v1/redemptions, for the member POS-CUST-5512."""
    body = {"couponId": coupon_id, "transactionId": basket, "customer": MEMBER, **fields}
    return await register.call("POST", "/v1/redemptions", body, **({} if wait is None else {"Prefer": f"wait={wait}"}))


async def void(register, basket="T-1", coupon_id=COUPON, **fields):
    """POST /v1/redemptions/void."""
    body = {"couponId": coupon_id, "transactionId": basket, **fields}
    return await register.call("POST", "/v1/redemptions/void", body)


async def redeem_and_hang_up(register, flash, basket="T-1", coupon_id=COUPON, *, when, wait=5, **fields):
    """A register that closes its connection once `when(flash)` holds."""
    asking = asyncio.create_task(redeem(register, basket, coupon_id, wait=wait, **fields))
    await until(lambda: asyncio.to_thread(flash.wait_for, when, 0.05))
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking


async def redeem_in_vain(register, flash, clock, basket="T-1", coupon_id=COUPON, *, when=None, **fields):
    """The answer at the end of a wait in which Flash was asked, and nothing was heard of it.

    The wait ends once `when(flash)` holds (Flash was asked), not after a time in which a busy machine sends nothing;
    `clock` is the agent's. An attempt that hangs ends at its own limit.
    """
    asking = asyncio.create_task(redeem(register, basket, coupon_id, wait=LONG_S, **fields))
    seen = when or (lambda flash: posts(flash, coupon_id))
    await until(lambda: asyncio.to_thread(flash.wait_for, seen, 0.05))
    clock.end_waits()
    return await asking


def told(answer):
    """The part of an answer that a cashier acts on."""
    return answer.json["status"], answer.json["honor"], answer.json["basis"], answer.json["credit"]


def insert_credits(path, count):
    """Redemptions that were burned and not honored, as the tables hold them."""
    connection = sqlite3.connect(path)
    with contextlib.closing(connection), connection:
        for number in range(1, count + 1):
            connection.execute(
                "INSERT INTO operation"
                " (seq, id, kind, status, scope, item, fingerprint, subjects, accepted_at, settled_at, key_id)"
                " VALUES (?, ?, 'redemption', 'succeeded', ?, ?, x'', '[]', 1, 1, 1)",
                [number, f"op_{number:032x}", number.to_bytes(16, "big"), bytes(16)],
            )
            connection.execute(
                "INSERT INTO redemption (seq, basket, phase, basis, credit) VALUES (?, ?, 'settled', 'flash', 'open')",
                [number, number.to_bytes(16, "big")],
            )
