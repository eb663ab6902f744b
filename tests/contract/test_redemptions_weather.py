"""Redemptions in bad weather: clocks, reads that fail, disks, retention, answers that nobody got."""

import asyncio
import contextlib
import sqlite3
from datetime import timedelta

import pytest

from agent.clock import Clock
from agent.config import Settings
from agent.errors import StorageUnavailableError
from agent.flash.address import FlashAddress
from agent.flash.client import FlashClient
from agent.health import Health
from agent.intake import Intake, Request
from agent.outbox import MIGRATIONS
from agent.outbox.line import Line
from agent.outbox.relay import Relay, RelayOptions
from agent.outbox.store import Store
from agent.redemption.redeeming import Redeeming
from agent.storage import Database, KeyFile, Sealer
from agent.storage.connection import Connection
from agent.storage.migrations import migrate
from tests.support.agents import running, settings, strict_flash, until
from tests.support.redeeming import (
    COUPON,
    LONG_S,
    MEMBER,
    EndingClock,
    NoSightings,
    burns,
    coupon,
    insert_credits,
    posts,
    redeem,
    redeem_and_hang_up,
    redeem_in_vain,
    told,
    void,
)
from tests.support.strict_flash import READ_KEY


@pytest.fixture
def flash():
    with strict_flash() as server:
        server.set(strict_redeem=False)
        coupon(server)
        yield server


def chosen(flash, **sections):
    return settings(flash.base_url, flash={"attempt_timeout_s": 0.5}, **sections)


@pytest.fixture
def clock():
    return EndingClock()


@pytest.fixture
async def till(tmp_path, flash, clock):
    async with running(tmp_path, chosen(flash), clock) as register:
        yield register


class Later(Clock):
    """The real clock, some days on or back."""

    def __init__(self, days):
        super().__init__()
        self._days = timedelta(days=days)
        self._offset_s += self._days.total_seconds()

    def now(self):
        return super().now() + self._days


async def leave_unknown(register, flash, clock, **fields):
    """A redemption that burned the coupon and whose every answer was lost; Flash is down afterwards."""
    flash.fault("lost-answer", path="/redeem$")
    answer = await redeem_in_vain(register, flash, clock, **fields)
    flash.stop()
    flash.clear()
    assert told(answer) == ("pending", False, "unconfirmed", None)
    return answer.json["id"]


@pytest.mark.parametrize("days", [365, -365, 2])
async def test_a_clock_that_jumped_sends_nothing_that_may_be_too_old(tmp_path, flash, days, clock):
    async with running(tmp_path, chosen(flash), clock) as register:
        operation_id = await leave_unknown(register, flash, clock)
    sent = len(posts(flash))
    flash.start()
    async with running(tmp_path, chosen(flash), Later(days)) as register:
        settled = await register.settled(operation_id)
        assert (settled["status"], settled["honor"], settled["error"]["code"]) == ("failed", False, "unconfirmed")
        assert "close" in settled["error"]["detail"]
        assert len(posts(flash)) == sent


async def test_a_restart_takes_up_what_was_left(tmp_path, flash, clock):
    async with running(tmp_path, chosen(flash), clock) as register:
        operation_id = await leave_unknown(register, flash, clock)
    flash.start()
    async with running(tmp_path, chosen(flash)) as register:
        settled = await register.settled(operation_id)
        assert (settled["status"], settled["honor"], settled["credit"]) == ("succeeded", False, "open")


async def test_the_same_redemption_asked_again_while_unconfirmed_may_be_honored(till, flash, clock):
    operation_id = await leave_unknown(till, flash, clock)
    assert told(await redeem(till)) == ("pending", False, "unconfirmed", None)
    flash.fault("latency", ms=300, path="/redeem$")
    flash.start()
    async with asyncio.timeout(20):
        while (answer := await redeem(till, wait=5)).status == 202:
            pass  # the line is dead yet, and the register answered at once; it is there when Flash is asked
    assert answer.json["id"] == operation_id
    assert told(answer) == ("succeeded", True, "flash", None)
    assert burns(flash) == 1


@pytest.mark.parametrize(
    ("fault", "options"),
    [("status", {"status": 404}), ("status", {"status": 403, "body": {"error": {"code": "FORBIDDEN"}}})],
)
async def test_coupons_that_cannot_be_read_call_a_person(till, flash, fault, options, clock):
    operation_id = await leave_unknown(till, flash, clock)
    flash.fault(fault, path="/coupons$", **options)
    flash.start()
    assert (await till.settled(operation_id))["status"] == "failed"
    assert (await till.sell(wait=5)).json["status"] == "succeeded"


@pytest.mark.parametrize("options", [{"status": 401}, {"status": 429, "retry_after": 30}])
async def test_a_read_key_of_its_own_that_is_refused_holds_the_read_and_no_sale(tmp_path, flash, options, clock):
    keyed = settings(flash.base_url, flash={"attempt_timeout_s": 0.5, "read_key": READ_KEY})
    async with running(tmp_path, keyed, clock) as till:
        operation_id = await leave_unknown(till, flash, clock)
        flash.fault("status", method="GET", path="/members", **options)
        asked = len(flash.requests)
        flash.start()

        def refused(flash):
            return any("/members" in seen.request.target for seen in list(flash.requests)[asked:])

        assert await asyncio.to_thread(flash.wait_for, refused, 20)
        assert (await till.sell(wait=10)).json["status"] == "succeeded"
        assert (await till.operation(operation_id))["status"] == "pending"


async def test_a_key_for_both_that_is_refused_needs_nobody_once_it_is_taken_again(tmp_path, flash, clock):
    keyed = settings(flash.base_url, flash={"attempt_timeout_s": 0.5}, relay={"hold_probe_s": 1.0})
    async with running(tmp_path, keyed, clock) as till:
        operation_id = await leave_unknown(till, flash, clock)
        flash.fault("status", status=401, path="/members", times=1)
        flash.start()
        settled = await till.settled(operation_id, 30)
        assert (settled["status"], settled["credit"]) == ("succeeded", "open")


@pytest.mark.parametrize("fault", ["truncated-json", "hang", "torn-answer", "captive-portal", "empty-200"])
async def test_a_read_that_fails_is_tried_again(till, flash, fault, clock):
    operation_id = await leave_unknown(till, flash, clock)
    flash.fault(fault, path="/coupons$", times=1)
    flash.start()
    settled = await till.settled(operation_id)
    assert settled["credit"] == "open" or (settled["status"], fault) == ("failed", "empty-200")
    assert len({seen.request.key for seen in posts(flash)}) == 1


@pytest.mark.parametrize("customer", [None, {"externalId": "nobody"}, {"memberId": "mem_other"}, {"memberId": ".x/.."}])
async def test_without_the_member_a_person_must_look(till, flash, customer, clock):
    operation_id = await leave_unknown(till, flash, clock, customer=customer)
    flash.start()
    settled = await till.settled(operation_id)
    assert (settled["status"], settled["honor"]) == ("failed", False)


async def test_a_coupon_for_several_uses_is_never_guessed_at(till, flash, clock):
    coupon(flash, "C-3", uses=3)
    flash.fault("lost-answer", path="/redeem$")
    answer = await redeem_in_vain(till, flash, clock, "T-1", "C-3")
    flash.clear()
    assert (await till.settled(answer.json["id"]))["status"] == "failed"
    assert told(await redeem(till, "T-2", "C-3")) == ("declined", False, "unconfirmed", None)
    path = f"/v1/operations/{answer.json['id']}/close"
    await till.call("POST", path, {"reason": "seen in Flash", "burned": True}, scope="operator")
    assert told(await redeem(till, "T-3", "C-3")) == ("succeeded", True, "earlier-redemption", None)
    assert told(await redeem(till, "T-4", "C-3")) == ("succeeded", True, "flash", None)
    assert burns(flash, "C-3") == 2


async def test_what_may_have_burned_takes_no_credit_for_its_own(till, flash, clock):
    """Else its own burn, of a coupon for several uses, would be nobody's."""
    coupon(flash, "C-3", uses=3)
    assert told(await redeem(till, "T-1", "C-3"))[1] is True
    flash.fault("lost-answer", path="/redeem$")
    asking = asyncio.create_task(redeem(till, "T-2", "C-3", wait=LONG_S))
    await until(lambda: asyncio.to_thread(flash.wait_for, lambda flash: burns(flash, "C-3") == 2, 0.05))
    assert (await void(till, "T-1", "C-3")).json["credit"] == "open"
    clock.end_waits()
    assert told(await asking)[1:] == (False, "unconfirmed", None)
    flash.clear()
    assert told(await redeem(till, "T-3", "C-3")) == ("succeeded", True, "earlier-redemption", None)
    assert burns(flash, "C-3") == 2


async def test_a_slow_flash_keeps_no_cashier_longer_than_the_wait(till, flash):
    flash.fault("latency", ms=5000, path="/redeem$")
    began = asyncio.get_running_loop().time()
    answer = await redeem(till, wait=0.5)
    assert asyncio.get_running_loop().time() - began < 1.0
    assert answer.json["honor"] is False


async def test_a_late_yes_is_a_credit(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url, flash={"attempt_timeout_s": 5.0})) as register:
        flash.fault("latency", ms=2500, path="/redeem$", times=1)
        answer = await redeem(register, wait=2)
        assert told(answer) == ("pending", False, "unconfirmed", None)
        settled = await register.settled(answer.json["id"])
        assert (settled["honor"], settled["credit"], len(posts(flash))) == (False, "open", 1)


@pytest.mark.parametrize("pending", [True, False])
async def test_a_pending_redemption_is_not_discarded_and_a_failed_one_may_be(till, flash, pending, clock):
    operation_id = await leave_unknown(till, flash, clock, customer=MEMBER if pending else None)
    if not pending:
        flash.start()
        await till.settled(operation_id)
    path = f"/v1/operations/{operation_id}/discard"
    answer = await till.call("POST", path, {"reason": "known"}, scope="operator")
    assert answer.status == (409 if pending else 200)
    if not pending:
        assert "redemptions-unconfirmed" not in await till.conditions()
        assert told(await redeem(till, "T-2"))[2] == "flash"  # the coupon is free to be asked about again


async def test_answers_and_credits_outlive_the_retention(tmp_path, flash):
    coupon(flash, "C-6")
    async with running(tmp_path, chosen(flash)) as register:
        honored, credit = await redeem(register), await redeem(register, "T-6", "C-6")
        await void(register, "T-6", "C-6")
    flash.clock_skew = 40 * 86_400.0
    async with running(tmp_path, chosen(flash), Later(40)) as register:
        await register.sell("40 days on", wait=10)

        async def stripped():
            return (await register.operation(honored.json["id"]))["request"] == {}

        await until(stripped)
        assert told(await redeem(register)) == ("succeeded", True, "flash", None)
        assert (await register.operation(credit.json["id"]))["request"]["couponId"] == "C-6"
        assert told(await redeem(register, "T-6", "C-6", attempt=2)) == ("declined", False, "voided", None)
        assert told(await redeem(register, "T-7", "C-6")) == ("succeeded", True, "earlier-redemption", None)
    flash.clock_skew = 500 * 86_400.0
    async with running(tmp_path, chosen(flash), Later(500)) as register:
        await register.sell("500 days on", wait=10)

        async def is_removed():
            return (await register.call("GET", f"/v1/operations/{honored.json['id']}")).status == 404

        await until(is_removed)
    connection = sqlite3.connect(tmp_path / "agent.db")
    kept = connection.execute("SELECT count(*) FROM redemption WHERE seq NOT IN (SELECT seq FROM operation)").fetchone()
    voided = connection.execute("SELECT count(*) FROM voided_basket").fetchone()
    connection.close()
    assert (kept, voided) == ((0,), (0,))


async def test_a_damaged_database_loses_no_answer_that_can_be_read(tmp_path, flash):
    async with running(tmp_path, chosen(flash)) as register:
        await redeem(register)
        await void(register)
        for number in range(60):
            await register.sell(f"o{number}")
    raw = bytearray((tmp_path / "agent.db").read_bytes())
    leaves = [page for page in range(len(raw) // 8192, len(raw) // 4096) if raw[page * 4096] == 0x0D]
    raw[leaves[-1] * 4096 : leaves[-1] * 4096 + 64] = b"\xff" * 64
    (tmp_path / "agent.db").write_bytes(raw)
    async with running(tmp_path, chosen(flash)) as register:
        assert "database-quarantined" in await register.conditions()
        assert told(await redeem(register)) == ("succeeded", False, "voided", "open")
        assert told(await redeem(register, "T-2")) == ("succeeded", True, "earlier-redemption", None)


async def test_no_personal_data_in_the_clear(tmp_path, flash):
    async with running(tmp_path, chosen(flash, coupons={"offline": "limited"})) as register:
        await redeem(register, customer={"email": "canary@example.com"})
        flash.stop()
        await redeem(register, "T-2", "CANARY-9", customer={"email": "canary@example.com"})
        for file in tmp_path.rglob("*"):
            if file.is_file():
                content = file.read_bytes()
                assert b"canary@example" not in content, file
                assert b"CANARY-9" not in content, file


class SlowDisk(Clock):
    """A clock by which the next claim, which notes its time, takes the whole of a wait."""

    is_slow = False
    passed_s = 0.0

    def steady_ms(self):
        self.passed_s += 10.0 if self.is_slow else 0.0
        return super().steady_ms()

    def monotonic(self):
        return super().monotonic() + self.passed_s


class LateFault(Connection):
    """A commit that is written, and fails all the same: what an I/O error at its sync comes to after a reopening."""

    is_near = False
    struck = 0

    async def fetch(self, sql, parameters=()):
        rows = await super().fetch(sql, parameters)
        if sql == "COMMIT" and LateFault.is_near:
            LateFault.is_near = False
            LateFault.struck += 1
            fault = sqlite3.OperationalError("disk I/O error")
            fault.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise fault
        return rows


class Counter:
    """The conductor with its rooms, without the API: whether an answer was written is said by the test."""

    def __init__(self, redeeming, intake, clock):
        self.redeeming = redeeming
        self.clock = clock
        self._intake = intake

    async def redeem(self, basket="T-1", attempt=1, *, is_gone=lambda: False):
        fields = {"couponId": COUPON, "transactionId": basket, "attempt": attempt, "customer": MEMBER}
        accepted = await self._intake.redemption(Request(fields))
        return await self.redeeming.redeem(accepted.operation, 3.0, is_gone)

    async def state(self, told_):
        redeemed = (await self.redeeming.redemptions.get(told_.operation.seq)).redeemed
        return redeemed.honor, redeemed.credit


@pytest.fixture
async def counter(tmp_path, flash):
    clock, known = SlowDisk(), settings(flash.base_url)
    database = Database(tmp_path / "agent.db", tmp_path / "quarantine", Health(clock), connection=LateFault)
    LateFault.is_near, LateFault.struck = False, 0
    await database.open()
    await migrate(database, "outbox", MIGRATIONS)
    sealer = Sealer(KeyFile(tmp_path / "data.key").load_or_create(None, may_create=True))
    store = Store(database, sealer, clock)
    await store.start()
    client = flash_client(known, clock)
    line = Line(clock, max_in_flight=8, start_delay_s=0, hold_probe_s=60)
    relay = Relay(store, client, line, clock, RelayOptions())
    redeeming = Redeeming(
        store.redemptions,
        relay=relay,
        line=line,
        flash=client,
        clock=clock,
        settings=known,
        sightings=NoSightings(),
    )
    yield Counter(redeeming, Intake(store, sealer, known, NoSightings()), clock)
    await redeeming.stop()
    await client.close()
    await store.stop()
    await database.close()


def flash_client(known: Settings, clock):
    address = FlashAddress(
        base_url=known.flash.base_url, till="till-1", attempt_timeout_s=3.0, proxy=None, ca_file=None, connections=8
    )
    return FlashClient(address, clock, write_key=known.key("write"))


async def test_a_yes_that_could_not_be_written_is_a_credit(counter):
    told_ = await counter.redeem()
    assert told_.operation.redeemed.honor
    told_.written(False)

    async def is_credit():
        return await counter.state(told_) == (False, "open")

    await until(is_credit)
    again = await counter.redeem()
    assert (again.operation.redeemed.honor, again.written) == (False, None)
    other = await counter.redeem("T-2")
    assert other.operation.redeemed.basis == "earlier-redemption"
    other.written(False)  # what was taken over is left again

    async def is_left():
        return await counter.state(other) == (False, "open")

    await until(is_left)
    third = await counter.redeem("T-3")
    assert third.operation.redeemed.honor
    third.written(True)
    assert await counter.state(third) == (True, None)


async def test_one_written_yes_is_enough(counter):
    first, second = await asyncio.gather(counter.redeem(), counter.redeem())
    assert first.operation.redeemed.honor
    assert second.operation.redeemed.honor
    first.written(False)
    second.written(True)
    replay = await counter.redeem()
    replay.written(False)  # the register has it already
    await counter.redeeming.stop()
    assert await counter.state(first) == (True, None)


async def test_a_yes_that_came_before_a_failed_write_was_known_is_not_taken_back(counter):
    first = await counter.redeem()
    again = await counter.redeem()  # the register sends the same again before its first connection is seen to be gone
    assert again.operation.redeemed.honor
    first.written(False)
    again.written(True)
    await counter.redeeming.stop()
    assert await counter.state(first) == (True, None)


async def redeem_with_a_late_fault(counter, flash, **options):
    """Flash's yes is written, and the commit fails: it is written again half a second later."""
    flash.fault("latency", ms=300, path="/redeem$", times=1)
    asking = asyncio.create_task(counter.redeem(**options))
    await until(lambda: asyncio.to_thread(flash.wait_for, posts, 0.05))
    LateFault.is_near = True
    told_ = await asking
    assert (LateFault.struck, burns(flash)) == (1, 1)
    return told_


async def test_a_yes_whose_commit_failed_late_is_a_credit_where_it_could_not_be_written(counter, flash):
    told_ = await redeem_with_a_late_fault(counter, flash)
    assert told_.operation.redeemed.honor
    told_.written(False)
    await counter.redeeming.stop()
    assert await counter.state(told_) == (False, "open")


async def test_a_yes_whose_commit_failed_late_and_that_was_written_stands(counter, flash):
    told_ = await redeem_with_a_late_fault(counter, flash)
    told_.written(True)
    (await counter.redeem()).written(False)  # the register has it already
    await counter.redeeming.stop()
    assert await counter.state(told_) == (True, None)


async def test_a_yes_whose_commit_failed_late_is_a_credit_where_the_register_has_gone_meanwhile(counter, flash):
    told_ = await redeem_with_a_late_fault(counter, flash, is_gone=lambda: LateFault.struck)
    assert not told_.operation.redeemed.honor
    assert await counter.state(told_) == (False, "open")


async def test_a_credit_whose_use_failed_late_is_left_again(counter, flash):
    """The register hears that the store failed, and may never ask again."""
    (await counter.redeem()).written(False)
    await counter.redeeming.stop()
    LateFault.is_near = True
    with pytest.raises(StorageUnavailableError):
        await counter.redeem("T-2")
    await counter.redeeming.stop()
    third = await counter.redeem("T-3")
    assert third.operation.redeemed.basis == "earlier-redemption"
    third.written(True)
    assert (LateFault.struck, burns(flash)) == (1, 1)


async def test_nobody_waits_on_a_closed_connection(counter):
    told_ = await counter.redeem(is_gone=lambda: True)
    assert told_.operation.redeemed.basis == "not-sent"


async def test_a_register_that_hangs_up_and_sends_again_is_honored(till, flash):
    flash.fault("latency", ms=300, path="/redeem$", times=1)
    await redeem_and_hang_up(till, flash, when=posts)
    assert told(await redeem(till, wait=5)) == ("succeeded", True, "flash", None)
    assert burns(flash) == 1


async def test_a_commit_that_took_the_wait_sends_nothing(counter, flash):
    counter.clock.is_slow = True
    told_ = await counter.redeem()
    assert told_.operation.redeemed.basis == "not-sent"
    assert told_.operation.maybe_sent == 0
    assert posts(flash) == []


async def test_a_post_that_comes_after_the_void_waits_and_gets_no_yes(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url, flash={"attempt_timeout_s": 8.0})) as till:
        flash.fault("latency", ms=400, path="/redeem$", times=1)
        asking = asyncio.create_task(redeem(till, wait=5))
        await until(lambda: asyncio.to_thread(flash.wait_for, posts, 0.05))
        await void(till)
        again = await redeem(till, wait=5)
        assert told(again) == ("succeeded", False, "voided", "open")
        assert (await asking).json["honor"] is False


async def test_a_credit_is_kept_for_as_long_as_it_is_open(tmp_path, flash):
    """Even where its contents went before it became one: by a void of an old basket, say."""
    async with running(tmp_path, chosen(flash)):
        pass
    insert_credits(tmp_path / "agent.db", 4)
    connection = sqlite3.connect(tmp_path / "agent.db")
    with contextlib.closing(connection), connection:
        connection.execute("UPDATE redemption SET credit = 'used' WHERE seq = 4")
    async with running(tmp_path, chosen(flash)) as till:
        await till.sell(wait=10)  # tells Flash's time, without which nothing is removed

        async def is_pruned():
            return (await till.call("GET", f"/v1/operations/op_{4:032x}")).status == 404

        await until(is_pruned, 20)
        assert (await till.status())["redemptions"]["creditsOpen"] == 3
