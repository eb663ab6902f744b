"""A day in numbers over the real API, with the strict server: every kind of outcome, and sales that go on meanwhile."""

import asyncio
import sqlite3
from datetime import date, datetime, timedelta

import pytest

from agent import outbox
from agent.clock import Clock
from agent.outbox.day import DATED, SLICE_BYTES, SLICE_ROWS, UNDATED
from agent.outbox.rows import bearable
from tests.support.agents import running, settings, strict_flash, until

DAY = (date.today() - timedelta(days=3)).isoformat()  # noqa: DTZ011 - the till's own day
THE_DAY_BEFORE = (date.today() - timedelta(days=4)).isoformat()  # noqa: DTZ011
NONE = {"count": 0, "amounts": {}}


class Later(Clock):
    """The real clock, some days on."""

    def __init__(self, days):
        super().__init__()
        self._days = timedelta(days=days)
        self._offset_s += self._days.total_seconds()

    def now(self):
        return super().now() + self._days


@pytest.fixture
def flash():
    with strict_flash() as server:
        yield server


@pytest.fixture
async def register(tmp_path):
    async with running(tmp_path) as offline:
        yield offline


async def summary(register, day=DAY, scope="register"):
    answer = await register.call("GET", f"/v1/summary?businessDate={day}", scope=scope)
    assert answer.status == 200, answer
    return answer.json


async def refund(register, order, refund_id, wait=10, **fields):
    body = {"externalOrderId": order, "refundId": refund_id, "businessDate": DAY, **fields}
    return (await register.call("POST", "/v1/refunds", body, Prefer=f"wait={wait}")).json


async def test_a_day_with_every_kind_of_outcome(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url)) as register:

        async def sell(order, amount, wait=10, **fields):
            return (await register.sell(order, amount, wait=wait, **{"businessDate": DAY, **fields})).json

        await sell("earned", "120.00")
        await sell("earned too", 40.5)
        await sell("in another currency", 10, currency="EUR")
        await sell("of a stranger", "50.50", customer={"externalId": "nobody"})
        flash.poison("fails", 422)
        await sell("fails", 30)
        flash.poison("entered twice", 422)
        twice = await sell("entered twice", 70)
        await register.call("POST", f"{twice['href']}/discard", {"reason": "twice"}, scope="operator")
        await sell("of another day", 1000, businessDate=THE_DAY_BEFORE)
        await refund(register, "earned", "r1", amount=20)
        await refund(register, "unknown", "r2", amount=5, ifKnown=True)
        await refund(register, "not there yet", "r3", wait=1)
        await register.call("POST", "/v1/enrollments", {"email": "bea@example.com"}, Prefer="wait=10")
        flash.script("is on its way", [503] * 1000)
        await sell("is on its way", 7, wait=1)
        await sell("earned", "120.00")  # again: it counts once
        shown = await summary(register)
        assert shown["sales"] == {
            "count": 6,
            "amounts": {"EUR": "10.00", "USD": "248.00"},
            "succeeded": {"count": 4, "amounts": {"EUR": "10.00", "USD": "211.00"}},
            "notAMember": {"count": 1, "amounts": {"USD": "50.50"}},
            "pending": {"count": 1, "amounts": {"USD": "7.00"}},
            "failed": {"count": 1, "amounts": {"USD": "30.00"}},
            "declined": NONE,
            "discarded": {"count": 1, "amounts": {"USD": "70.00"}},
        }
        assert shown["refunds"] == {
            "count": 3,
            "amounts": {"USD": "25.00"},
            "succeeded": {"count": 1, "amounts": {"USD": "20.00"}},
            "declined": {"count": 1, "amounts": {"USD": "5.00"}},
            "pending": {"count": 1, "amounts": {}},
            "failed": NONE,
            "discarded": NONE,
            "withoutAmount": 1,
        }
        of_that_day = [e["points"] for e in flash.effects if e["kind"] == "award" and "another day" not in e["natural"]]
        assert shown["points"] == {"awarded": sum(of_that_day), "clawedBack": 1}
        assert shown["points"]["awarded"] == 8
        assert (shown["complete"], shown["stripped"], shown["unreadable"], shown["undated"]) == (True, 0, 0, 0)
        assert (shown["businessDate"], shown["storeId"], shown["tillId"]) == (DAY, "st_1", "till-1")
        other = await summary(register, THE_DAY_BEFORE)
        assert (other["sales"]["count"], other["sales"]["amounts"]) == (1, {"USD": "1000.00"})
        assert (await summary(register, "2026-01-01"))["sales"]["count"] == 0
    assert flash.violations == []


async def test_what_has_no_business_date_counts_by_its_acceptance_in_local_time(register):
    first = (await register.sell("1", 10)).json
    await register.sell("2", 20, businessDate=THE_DAY_BEFORE)
    enrolled = await register.call("POST", "/v1/enrollments", {"email": "bea@example.com"})
    assert enrolled.status == 202
    today = datetime.fromisoformat(first["acceptedAt"]).astimezone().date()
    shown = await summary(register, today)
    assert (shown["undated"], shown["sales"]["count"], shown["sales"]["amounts"]) == (1, 1, {"USD": "10.00"})
    assert shown["enrollments"]["pending"] == 1
    begin, end = (datetime.fromisoformat(shown["localDay"][name]) for name in ("from", "to"))
    assert begin <= datetime.fromisoformat(first["acceptedAt"]) < end
    assert (begin.date(), end.date()) == (today, today + timedelta(days=1))
    for other in (today - timedelta(days=1), today + timedelta(days=1)):
        shown = await summary(register, other)
        assert (shown["undated"], shown["sales"]["count"], shown["enrollments"]["count"]) == (0, 0, 0)
    assert (await summary(register, THE_DAY_BEFORE))["sales"]["amounts"] == {"USD": "20.00"}


async def test_by_the_clock_of_the_acceptance_whatever_the_order_of_the_rows(tmp_path):
    """A clock that was set back by two days between two sales: each is found on the day that its acceptedAt names."""
    accepted = []
    for order, days in (("1", 0), ("2", -2), ("3", 0)):
        async with running(tmp_path, clock=Later(days)) as register:
            accepted.append((await register.sell(order, 10)).json["acceptedAt"])
    days = [datetime.fromisoformat(moment).astimezone().date() for moment in accepted]
    async with running(tmp_path) as register:
        for day in set(days):
            assert (await summary(register, day))["sales"]["count"] == days.count(day)


async def test_numbers_alone_and_for_both_tokens(register):
    await register.sell(
        "canary-order", 10, customer={"email": "canary@example.com"}, businessDate=DAY, metadata={"note": "canary"}
    )
    for scope in ("register", "operator"):
        assert "canary" not in str(await summary(register, scope=scope))
    assert (await register.session.get(f"{register.base_url}/v1/summary?businessDate={DAY}")).status == 401


@pytest.mark.parametrize(
    "query", ["", "?businessDate=", "?businessDate=today", "?businessDate=2026-02-30", "?businessDate=20261125",
              "?businessDate=0001-01-01", "?businessDate=9999-12-31"]
)  # fmt: skip
async def test_a_day_is_asked_for_by_its_date(register, query):
    answer = await register.call("GET", f"/v1/summary{query}")
    assert (answer.status, answer.json["code"]) == (422, "validation")
    assert [fault["field"] for fault in answer.json["errors"]] == ["businessDate"]


@pytest.mark.usefixtures("tidied_soon")
async def test_a_day_past_its_retention_is_said_to_be_so(tmp_path, flash):
    day = date.today().isoformat()  # noqa: DTZ011
    chosen = settings(flash.base_url)
    async with running(tmp_path, chosen) as register:
        done = await register.sell("done", wait=10, businessDate=day)
        flash.poison("bad", 422)
        await register.sell("bad", wait=10, businessDate=day)
        assert (await summary(register, day))["complete"] is True
    flash.clock_skew = 40 * 86_400.0
    async with running(tmp_path, chosen, Later(40)) as register:
        await register.sell("40 days on", wait=10)

        async def stripped():
            return (await register.operation(done.json["id"]))["request"] == {}

        await until(stripped)
        shown = await summary(register, day)
        assert (shown["complete"], shown["stripped"], shown["points"]) == (False, 1, None)
        assert (shown["sales"]["count"], shown["sales"]["amounts"]) == (2, None)
        assert shown["sales"]["failed"] == {"count": 1, "amounts": None}
    flash.clock_skew = 500 * 86_400.0
    async with running(tmp_path, chosen, Later(500)) as register:
        await register.sell("500 days on", wait=10)
        answer = await register.call("GET", f"/v1/summary?businessDate={day}")
        assert (answer.status, answer.json["code"], answer.json["retryable"]) == (410, "past-retention", False)
        assert "400 days" in answer.json["detail"]


async def test_a_till_whose_clock_runs_ahead_still_shows_its_days(tmp_path, flash):
    """By Flash's time the day is not past its retention, and housekeeping has removed nothing either."""
    chosen = settings(flash.base_url)
    async with running(tmp_path, chosen, Later(500)) as register:
        await register.sell("1", 10, wait=10, businessDate=DAY)
        assert "clock-skewed" in await register.conditions()
        assert (await summary(register))["sales"]["amounts"] == {"USD": "10.00"}


# ---- how it reads --------------------------------------------------------------------------------------------------


async def test_sales_go_on_while_a_long_day_is_read(register):
    """Some 2,500 sales are opened in slices; registers that sell meanwhile are served between them."""
    for start in range(0, 2500, 250):
        await asyncio.gather(*(register.sell(str(start + n), "1.10", businessDate=DAY) for n in range(250)))
    reading = asyncio.create_task(summary(register))
    sold = 0
    while not reading.done():
        assert (await register.sell(f"meanwhile {sold}", 1)).status == 202
        sold += 1
    shown = await reading
    assert (shown["sales"]["count"], shown["sales"]["amounts"]) == (2500, {"USD": "2750.00"})
    assert sold >= 10  # a handful if the day were read in one go


def test_a_slice_is_bounded_in_bytes_too():
    rows = [(seq, SLICE_BYTES // 4) for seq in range(6)] + [(6, 3 * SLICE_BYTES), (7, None), (8, 5)]
    assert list(bearable(rows, SLICE_BYTES)) == [[0, 1, 2, 3], [4, 5], [6], [7, 8]]
    assert list(bearable([(1, None), (2, None)], SLICE_BYTES)) == [[1, 2]]
    assert list(bearable([], SLICE_BYTES)) == []


@pytest.mark.parametrize(
    ("sql", "parameters", "plan"),
    [
        (DATED, [DAY, 0, SLICE_ROWS], "operation_business_date (business_date=? AND seq>?)"),
        (UNDATED, ["op_0", "op_1", SLICE_ROWS], "sqlite_autoindex_operation_1 (id>? AND id<?)"),
    ],
)
def test_no_day_scans_the_table(sql, parameters, plan):
    connection = sqlite3.connect(":memory:")
    connection.executescript(outbox.SCHEMA.read_text("utf-8"))
    try:
        steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    finally:
        connection.close()
    rescued = ["CORRELATED SCALAR SUBQUERY 1", "SEARCH rescued USING INTEGER PRIMARY KEY (rowid=?)"]
    assert steps == [f"SEARCH operation USING INDEX {plan}", *rescued]
