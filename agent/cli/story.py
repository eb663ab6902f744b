"""The demo's story: one till, one afternoon, one outage. Told as it happens, with the seconds since it began.

Everything is said and asked over HTTP, as register software would; only Flash's own books are looked up in the
stand-in. Nothing is paced: what takes time here takes time at a till.
"""

import asyncio
import math
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agent.cli import bookings, text
from agent.cli.bookings import Booking, Books
from agent.cli.till import Reply, Till

if TYPE_CHECKING:
    from agent.sandbox import Sandbox

DEADLINE_S = 30.0
LOOK_AGAIN_S = 0.01
WAIT_S = 5.0
ADA, GRACE, KATHERINE, MARY = "POS-CUST-5512", "POS-CUST-5513", "POS-CUST-5514", "POS-CUST-7001"
NAMES = {ADA: "Ada", GRACE: "Grace", KATHERINE: "Katherine", MARY: "Mary"}
MARY_ENROLLS = {"externalId": MARY, "email": "mary@example.com", "fullName": "Mary Jackson"}
COUPON = {"couponId": "cpn_ada_10off", "customer": {"externalId": ADA}}
COUPON_CODE = "ADA-10OFF"
REFUND = {"externalOrderId": "90872", "refundId": "R-1", "amount": 50, "reason": "one item returned"}


_SETTLED = {
    "sale": {"succeeded"},
    "refund": {"succeeded"},
    "enrollment": {"succeeded"},
    "redemption": {"succeeded", "declined"},  # burned, or not and no discount given
}
_WITHOUT_POINTS = {bookings.ENROLLMENT: "new member", bookings.COUPON: "burned"}


def _sale(order: str, amount: int, customer: str) -> dict[str, Any]:
    """A sale; the story's baskets have the numbers of their orders."""
    basket = {"externalOrderId": order, "transactionId": order}
    return {**basket, "totalAmount": amount, "customer": {"externalId": customer}}


class Story:
    """Plays once, against a running agent (`till` speaks to it) whose Flash is `sandbox`."""

    def __init__(self, till: Till, sandbox: "Sandbox") -> None:
        self._till = till
        self._sandbox = sandbox
        self._books = Books(sandbox)
        self._booked: list[Booking] = []
        self._kinds: dict[str, str] = {}
        self._began = time.monotonic()

    async def play(self) -> bool:
        """Whether it came out well: all sent, each booked once, in order, the same on both sides."""
        chapters = (
            self._a_sale_earns,
            self._the_network_goes,
            self._the_network_returns,
            self._the_same_sale_again,
            self._an_answer_is_lost,
            self._a_coupon_is_burned_once,
        )
        try:
            async with asyncio.timeout(DEADLINE_S):
                for chapter in chapters:
                    await chapter()
                return await self._both_ledgers()
        except TimeoutError:
            self._say(f"The story did not come to its end within {DEADLINE_S:.0f} s.")
            return False

    # ---- the chapters ----------------------------------------------------------------------------------------------

    async def _a_sale_earns(self) -> None:
        self._title("The network is up: a sale earns while the customer waits")
        await self._sell("90871", 120, ADA, wait_s=WAIT_S)
        await self._look_up(ADA)

    async def _the_network_goes(self) -> None:
        self._title("The network goes: the till goes on selling, everything is kept on its disk")
        self._sandbox.faults.order("offline")
        replies = [await self._sell("90872", 200, ADA)]
        replies.append(await self._hand_in("enrollments", MARY_ENROLLS, "", "", "Mary"))
        replies.append(await self._sell("90873", 80, MARY))
        replies.append(await self._hand_in("refunds", REFUND, "90872", "-50.00", "Ada"))
        replies.append(await self._sell("90874", 64, GRACE))
        self._say("   Who is at the counter? The till remembers, and says what Flash has not counted yet:")
        replies += [await self._look_up(ADA), await self._look_up(MARY)]
        status = await self._status_when("connectivity", "offline")
        slowest = max(reply.took_ms for reply in replies)
        self._say(
            f"   The agent is {status['connectivity']}, keeps {status['pending']}; slowest answer {slowest:.0f} ms."
        )

    async def _the_network_returns(self) -> None:
        self._title("The network returns: the cashier rings up the next sale, and it gets through first")
        self._sandbox.faults.clear()
        await self._sell("90875", 30, KATHERINE, wait_s=WAIT_S)
        self._say("   What was kept follows by itself. Flash books:")
        await self._status_when("pending", 0)
        await self._look_up(MARY)

    async def _the_same_sale_again(self) -> None:
        self._title("The register sends a sale again: it counts once")
        reply = await self._sell("90872", 200, ADA)
        count = sum(booking.order_id == "90872" and booking.what == bookings.SALE for booking in self._booked)
        self._say(
            f"   Idempotency-Replayed: {str(reply.replayed).lower()}; Flash has booked sale 90872 {_times(count)}."
        )

    async def _an_answer_is_lost(self) -> None:
        self._title("Flash books a sale, but its answer is lost on the way: sent again under the same key")
        self._sandbox.faults.order("answer-lost", times=1, path="/orders")
        reply = await self._sell("90876", 40, ADA, wait_s=WAIT_S)
        await self._status_when("pending", 0)
        operation = (await self._till.get(reply.body["href"])).body
        count = sum(booking.order_id == "90876" for booking in self._booked)
        self._say(f"   The agent sent it {_times(operation['attempts'])}, Flash has booked it {_times(count)}.")

    async def _a_coupon_is_burned_once(self) -> None:
        self._title(
            "Flash burns a coupon, but its answer is lost on the way: asked for again, the discount is given once"
        )
        self._sandbox.faults.order("answer-lost", times=1, path="/coupons")
        reply = await self._redeem("90877", wait_s=WAIT_S)
        operation = (await self._till.get(reply.body["href"])).body
        burned = sum(booking.coupon == COUPON_CODE for booking in self._booked)
        self._say(f"   The agent asked {_times(operation['attempts'])}, Flash has burned it {_times(burned)}.")
        await self._sell("90877", 54, ADA, wait_s=WAIT_S)
        self._say("   The same coupon in another basket:")
        await self._redeem("90878", wait_s=WAIT_S)

    async def _both_ledgers(self) -> bool:
        self._title("Both ledgers, side by side")
        operations = await self._till.operations()
        lines = bookings.side_by_side(bookings.told(operations), self._books.movements())
        rows = [
            (order, what, _points(line.agent), _points(line.flash), "" if line.agrees else "<- differs")
            for line in lines
            for order, what, _ in [line.movement]
        ]
        sums = [f"{sum(sum(getattr(line, side)) for line in lines):+d}" for side in ("agent", "flash")]
        header = ("ORDER", "WHAT", "AGENT", "FLASH", "")
        for row in text.table([header, *rows, ("", "sum", *sums, "")], right={2, 3}):
            self._say(f"   {row}")
        return self._verdict(operations, agree=all(line.agrees for line in lines), count=len(lines))

    def _verdict(self, operations: list[dict[str, Any]], *, agree: bool, count: int) -> bool:
        unsettled = [each["id"] for each in operations if each["status"] not in _SETTLED[each["kind"]]]
        ordered = self._in_order()
        honored = sum(each.get("honor", False) for each in operations)
        burned = sum(booking.what == bookings.COUPON for booking in self._booked)
        self._say(f"   Coupons: honored {_times(honored)}, burned {_times(burned)}.")
        agree = agree and honored == burned == 1
        for wrong, words in (
            (not agree, "The two sides do NOT agree."),
            (unsettled, f"Not settled: {', '.join(unsettled)}."),
            (not ordered, "Something was booked before what it depends on."),
        ):
            if wrong:
                self._say(words)
        if agree and ordered and not unsettled:
            self._say(
                f"Both sides agree: {count} movements of points and a coupon, "
                "each booked once, each after what it needs."
            )
            return True
        return False

    def _in_order(self) -> bool:
        """Mary was a member before her sale, and what was refunded had been sold."""
        order = [(booking.what, booking.order_id) for booking in self._booked]
        needs = [
            ((bookings.ENROLLMENT, None), (bookings.SALE, "90873")),
            ((bookings.SALE, "90872"), (bookings.REFUND, "90872")),
        ]
        return all(
            before in order and after in order and order.index(before) < order.index(after) for before, after in needs
        )

    # ---- saying and asking -----------------------------------------------------------------------------------------

    def _say(self, words: str) -> None:
        print(f"{time.monotonic() - self._began:6.2f} s  {words}", flush=True)

    def _title(self, words: str) -> None:
        print()
        self._say(words)

    async def _sell(self, order: str, amount: int, customer: str, *, wait_s: float = 0) -> Reply:
        return await self._hand_in(
            "sales", _sale(order, amount, customer), order, f"{amount:.2f}", NAMES[customer], wait_s=wait_s
        )

    async def _hand_in(
        self, collection: str, document: dict[str, Any], order: str, amount: str, who: str, *, wait_s: float = 0
    ) -> Reply:
        reply = await self._till.post(f"/v1/{collection}", document, wait_s=wait_s)
        told = f"POST /v1/{collection:<11}  {order:<5}  {amount:>6}  {who:<9}"
        self._kinds[reply.body["id"]] = reply.body["kind"]
        self._say(f"   {told}  {reply.status} in {reply.took_ms:4.0f} ms  {self._what_became(reply.body)}")
        self._look()
        return reply

    async def _redeem(self, basket: str, *, wait_s: float) -> Reply:
        reply = await self._hand_in(
            "redemptions", {**COUPON, "transactionId": basket}, basket, "", COUPON_CODE, wait_s=wait_s
        )
        honor = reply.body["honor"]
        self._say(f"   honor: {str(honor).lower()}, the cashier gives {'the discount' if honor else 'no discount'}")
        return reply

    async def _look_up(self, customer: str) -> Reply:
        """Who is it, what have they got, and who says so since when?"""
        reply = await self._till.get("/v1/members", {"externalId": customer})
        self._say(
            f"   GET /v1/members  {NAMES[customer]:<9}  {reply.status} in {reply.took_ms:4.0f} ms  {_known(reply.body)}"
        )
        return reply

    def _what_became(self, operation: dict[str, Any]) -> str:
        words = [operation["status"]]
        words += [f"waits for the {self._kinds[predecessor]}" for predecessor in operation["waitingFor"]]
        words += operation["receipt"] if operation["status"] == "succeeded" else ()
        return ", ".join(words)

    def _look(self) -> None:
        """Tell what Flash has booked since the last look."""
        for booking in self._books.news():
            self._booked.append(booking)
            points = _WITHOUT_POINTS.get(booking.what) if booking.points is None else f"{booking.points:+d}"
            balance = "" if booking.balance is None else f"balance {booking.balance:,}"
            what = f"{booking.what:<10}  {booking.order_id or '':<5}  {points:>10}  {booking.member:<17}  {balance}"
            self._say(f"      Flash books  {what}".rstrip())

    async def _status_when(self, field: str, value: Any) -> dict[str, Any]:
        """The agent's status once a field of it has the value; the story's deadline bounds the wait."""
        while True:
            status = (await self._till.get("/v1/status")).body
            self._look()
            if status[field] == value:
                return status
            await asyncio.sleep(LOOK_AGAIN_S)


def _known(member: dict[str, Any]) -> str:
    """A look-up in words: the balance as a register would print it, and what Flash has not counted yet."""
    source = {"flash": "Flash says", "cache": "remembered", "local": "enrolled here"}[member["source"]]
    if member["stale"]:
        age = datetime.now(UTC) - datetime.fromisoformat(member["asOf"])
        source += f" for {max(0, math.ceil(age.total_seconds()))} s"
    pending = member["pending"] or {}
    waiting = [f"{_counted(pending['sales'], 'sale')} of {pending['amount']}"] if pending.get("sales") else []
    waiting += [_counted(pending["refunds"], "refund")] if pending.get("refunds") else []
    balance = (member["points"] or {}).get("balance")
    words = ["no balance yet" if balance is None else f"balance {balance:,}"]
    words += [f"not counted yet: {', '.join(waiting)}"] if waiting else []
    return f"{source}: {'; '.join(words)}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _points(side: tuple[int, ...]) -> str:
    return " ".join(f"{points:+d}" for points in side) or "none"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
