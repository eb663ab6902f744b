"""`flash-agent reconcile` on a running till against the strict Flash, with every kind of difference put in by hand."""

import contextlib
import json
import os
import subprocess
import sys
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from agent.reconcile.differences import Code
from tests.support.agents import AgentProcess, agent_process, strict_flash
from tests.support.commands import NOWHERE, PYTHON, environment, flash_agent, of, post, sell, until

pytestmark = pytest.mark.e2e
YESTERDAY = (date.today() - timedelta(days=1)).isoformat()  # noqa: DTZ011 - the till's own day
QUICK = {"FLASH_AGENT_FLASH__ATTEMPT_TIMEOUT_S": "3", "FLASH_AGENT_MEMBERS__SYNC_MINUTES": "0"}


@pytest.fixture
def flash():
    with strict_flash() as server:
        yield server
        assert server.violations == []


@pytest.fixture
def agent(flash, tmp_path):
    with agent_process(tmp_path / "data", flash.base_url, **QUICK) as started:
        yield started


def reconciled(agent: AgentProcess, code: int, *more: object, since: str = YESTERDAY):
    result = of(agent, "reconcile", "--since", since, "--json", *more)
    assert (result.returncode, result.stderr) == (code, ""), result
    return json.loads(result.stdout)


def found(report) -> dict[str, str]:
    return {each["upstreamOrderId"]: each["code"] for each in report["differences"]}


def settled(agent: AgentProcess, order: str, amount: float = 120, **fields) -> dict:
    sale = sell(agent, order, amount, wait=10, **fields)
    assert sale["status"] == "succeeded", sale
    return sale


def refunded(agent: AgentProcess, order: str, amount: float | None = None) -> dict:
    body = {"externalOrderId": order, "refundId": f"r-{order}", **({} if amount is None else {"amount": amount})}
    return post(agent, "refunds", body, wait=10)


def test_where_both_agree_there_is_no_difference(agent, flash):
    settled(agent, "1", 19.99)
    settled(agent, "2")
    settled(agent, "nobody", customer={"externalId": "never-met"})
    assert refunded(agent, "1")["status"] == refunded(agent, "2", 40.5)["status"] == "succeeded"
    report = reconciled(agent, 0)
    assert report["differences"] == []
    assert report["counts"]["sales"] == report["counts"]["matched"] == 3
    assert report["counts"]["refunds"] == 2
    sheet = of(agent, "reconcile", "--since", YESTERDAY)
    assert (sheet.returncode, sheet.stderr) == (0, "")
    assert "No difference." in sheet.stdout.splitlines()
    assert {s.request.token for s in flash.requests if s.request.route == "GET /orders"} != set()


def test_every_difference_is_named(agent, flash, tmp_path):
    for order in ("lost", "other-amount", "refund-lost", "points", "elsewhere", "refund-landed", "fine"):
        settled(agent, order)
    settled(agent, "lost-stranger", customer={"externalId": "never-met"})
    assert refunded(agent, "refund-lost", 30)["status"] == "succeeded"
    flash.fault("status", status=422, path="/refund$", commit=True, times=1)
    assert refunded(agent, "refund-landed", 30)["status"] == "failed"
    landed = {"status": 422, "commit": True}
    for order in ("landed-failed", "landed-discarded"):
        flash.script(order, [landed])
        assert sell(agent, order, 50, wait=10)["status"] == "failed"
        if order == "landed-discarded":
            (given_up,) = listed(agent, "--order", order)
            assert of(agent, "operations", "discard", given_up["id"], "--reason", "entered twice").returncode == 0
    flash.fault("lost-answer", path="^/orders")
    sell(agent, "landed-pending", 60)
    assert flash.wait_for(lambda server: server.awards["landed-pending"])
    flash.state.drop_order("lost")
    flash.state.drop_order("lost-stranger")
    flash.state.set_order("other-amount", totalAmount="12")
    flash.state.set_order("refund-lost", refunded="10")
    flash.state.set_order("points", awarded=1)
    flash.state.set_order("elsewhere", refunded="15")
    flash.state.set_order("lane-2", storeId="st_1", totalAmount="7.5")
    flash.state.set_order("other-store", storeId="st_9")
    report = reconciled(agent, 1, "--report", tmp_path / "report.json")
    assert found(report) == {
        "lost": "missing",
        "lost-stranger": "missing",
        "other-amount": "amount-differs",
        "refund-lost": "refund-missing",
        "points": "points-differ",
        "elsewhere": "refunded-elsewhere",
        "refund-landed": "refund-landed",
        "landed-failed": "landed-failed",
        "landed-discarded": "landed-discarded",
        "landed-pending": "landed-pending",
    }
    assert set(found(report).values()) | {"refund-landed-pending"} == {code.value for code in Code}
    by_order = {each["upstreamOrderId"]: each for each in report["differences"]}
    assert (by_order["other-amount"]["here"], by_order["other-amount"]["flash"]) == ("120", "12")
    assert (by_order["refund-lost"]["here"], by_order["refund-lost"]["flash"]) == ("30", "10")
    assert (by_order["lost-stranger"]["detail"], by_order["lost"]["detail"]) == ("no member's", None)
    assert report["counts"]["others"] == report["counts"]["withoutStore"] + 1 == 1
    assert "others" not in report
    assert json.loads((tmp_path / "report.json").read_text())["differences"] == report["differences"]
    everything = reconciled(agent, 1, "--all")["others"]
    assert [(row["upstreamOrderId"], row["totalAmount"]) for row in everything] == [("lane-2", "7.5")]
    sheet = of(agent, "reconcile", "--since", YESTERDAY, "--all").stdout
    assert all(each["operation"] in sheet for each in report["differences"])
    assert "8 to look at:" in sheet
    assert "2 that need nobody:" in sheet
    assert "ada@example.com" not in sheet + json.dumps(report)
    assert "POS-CUST" not in sheet + json.dumps(report)
    flash.clear()


def listed(agent: AgentProcess, *more: str) -> list[dict]:
    return json.loads(of(agent, "operations", "list", "--json", *more).stdout)


def test_what_only_lacks_our_word_needs_nobody_and_settles(agent, flash):
    settled(agent, "2")
    flash.fault("lost-answer")
    sell(agent, "1", 60)
    post(agent, "refunds", {"externalOrderId": "2", "refundId": "r", "amount": 20})
    assert flash.wait_for(lambda server: server.awards["1"] and ("2", "r") in server.state.tenant("t1").refunds)
    agent.kill()
    agent.start()
    assert found(reconciled(agent, 0)) == {"1": "landed-pending", "2": "refund-landed-pending"}
    flash.clear()
    until(lambda: not listed(agent, "--status", "pending"))
    assert found(reconciled(agent, 0)) == {}
    assert flash.doubles() == {}


def test_what_waits_or_failed_and_is_not_in_flash_is_no_difference(agent, flash):
    flash.poison("bad", 422)
    assert sell(agent, "bad", 5, wait=10)["status"] == "failed"
    flash.fault("drop-before-commit", method="POST")
    sell(agent, "1", 60)
    counts = reconciled(agent, 0)["counts"]
    assert (counts["pendingNotInFlash"], counts["failedNotInFlash"]) == (1, 1)
    sheet = of(agent, "reconcile", "--since", YESTERDAY).stdout
    assert "operations list --status failed" in sheet
    flash.clear()


def test_a_sale_of_before_that_was_refunded_since_is_compared_whole(agent, flash):
    settled(agent, "1")
    assert refunded(agent, "1", 20)["status"] == "succeeded"
    later = now()
    post(agent, "refunds", {"externalOrderId": "1", "refundId": "second", "amount": 30}, wait=10)
    assert found(reconciled(agent, 0, since=later)) == {}
    flash.state.set_order("1", refunded="30")  # the first one is lost
    assert found(reconciled(agent, 1, since=later)) == {"1": "refund-missing"}
    flash.state.drop_order("1")
    assert found(reconciled(agent, 1, since=later)) == {"1": "refund-missing"}
    assert found(reconciled(agent, 0, since=now())) == {}  # not asked for


def now() -> str:
    return datetime.now().astimezone().isoformat(timespec="milliseconds")


def test_a_refund_of_another_tills_sale_is_looked_for_too(agent, flash):
    flash.state.set_order("theirs", storeId="st_1", totalAmount="100", refunded="5")
    assert refunded(agent, "theirs", 20)["status"] == "succeeded"
    assert found(reconciled(agent, 0)) == {}  # five more of them are another till's
    flash.state.set_order("theirs", refunded="5")
    assert found(reconciled(agent, 1)) == {"theirs": "refund-missing"}


@pytest.mark.parametrize("cursors", [True, False])
def test_many_pages_with_and_without_cursors(agent, flash, cursors):
    flash.set(cursors=cursors, overlap=3)
    for number in range(430):
        flash.state.set_order(f"theirs-{number}", storeId="st_1")
        if number in (1, 215, 429):
            settled(agent, f"mine-{number}")
    report = reconciled(agent, 0)
    assert report["counts"]["matched"] == 3
    assert report["counts"]["others"] == 430
    assert report["counts"]["flashRows"] > 433


def test_an_order_that_is_pushed_off_its_page_is_not_missing(agent, flash):
    """The list is cut by position: what changes while it is read pulls others over the page's edge."""
    for number in range(420):
        flash.state.set_order(f"theirs-{number}")
        if number in (199, 200, 201):
            settled(agent, f"mine-{number}")
    changed = iter(range(30))

    def change() -> None:
        for _ in range(10):
            if (number := next(changed, None)) is not None:
                flash.state.set_order(f"theirs-{number}")

    flash.state.between_pages = change
    report = reconciled(agent, 0)
    assert report["counts"]["matched"] == 3
    assert next(changed, None) is None  # it did change


def test_a_feed_that_never_ends_is_noticed(agent, flash):
    flash.set(endless=True)
    settled(agent, "1")
    result = of(agent, "reconcile", "--since", YESTERDAY, "--json")
    assert (result.returncode, result.stdout) == (1, "")
    assert "does not end" in result.stderr
    assert "Nothing was compared" in result.stderr


def test_too_many_changes_in_one_moment_without_cursors_are_said(agent, flash):
    flash.set(cursors=False)
    moment = flash.state.now()
    flash.state.now = lambda: moment
    for number in range(230):
        flash.state.set_order(f"theirs-{number}")
    del flash.state.now
    result = of(agent, "reconcile", "--since", YESTERDAY)
    assert result.returncode == 1
    assert f"cannot be read past {moment}" in result.stderr


def test_flash_is_given_the_pause_that_it_asks_for(agent, flash):
    settled(agent, "1")
    flash.fault("status", status=429, retry_after=1, times=1, method="GET", path="^/orders")
    assert found(reconciled(agent, 0)) == {}
    reads = [seen for seen in flash.requests if seen.request.route == "GET /orders"]
    assert [seen.status for seen in reads] == [429, 200]
    assert reads[1].request.at - reads[0].request.at >= 1  # and the strict Flash saw no breach


def test_rows_that_cannot_be_read_are_said(agent, flash):
    settled(agent, "1")
    flash.state.set_order(".", storeId="st_1")
    report = reconciled(agent, 1)
    assert (report["counts"]["unread"], report["differences"]) == (1, [])
    assert "Not read: 1 rows" in of(agent, "reconcile", "--since", YESTERDAY).stdout


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ({"name": "status", "status": 403}, "may not list orders"),
        ({"name": "status", "status": 404}, "no list of orders"),
    ],
)
def test_why_nothing_can_be_compared_is_said(agent, flash, trouble, words):
    flash.fault(**trouble, method="GET", path="^/orders")
    result = of(agent, "reconcile", "--since", YESTERDAY)
    assert result.returncode == 1
    assert words in result.stderr
    assert "Nothing was compared" in result.stderr


def test_without_flash_or_agent_it_says_so(tmp_path):
    with agent_process(tmp_path / "data", NOWHERE, **QUICK) as offline:
        sell(offline, "1", 5)
        result = of(offline, "reconcile", "--since", YESTERDAY)
        assert (result.returncode, result.stdout) == (1, "")
        assert "Nothing was compared" in result.stderr
    result = flash_agent("reconcile", "--since", YESTERDAY, "--data-dir", tmp_path / "data")
    assert result.returncode == 1


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01", "", "2999-01-01"])
def test_since_is_a_time_that_has_been(agent, since):
    result = of(agent, "reconcile", "--since", since)
    assert result.returncode == 2
    assert "is not a date such as" in result.stderr or "in the future" in result.stderr


def test_a_report_that_cannot_be_written_is_said_before_the_work(agent, flash, tmp_path):
    result = of(agent, "reconcile", "--since", YESTERDAY, "--report", tmp_path / "nowhere" / "r.json")
    assert result.returncode == 2
    assert not [seen for seen in flash.requests if seen.request.route == "GET /orders"]


def _all_of(terminal):
    """What was written, however many pieces the system gives it in; its end is an error on Linux."""
    with contextlib.suppress(OSError):
        while piece := os.read(terminal, 65536):
            yield piece


@pytest.mark.skipif(os.name != "posix", reason="a pseudo-terminal")
def test_a_terminal_shows_how_far_it_is(agent, flash):
    import pty

    for number in range(250):
        flash.state.set_order(f"theirs-{number}", storeId="st_1")
    main, other = pty.openpty()
    command = [*PYTHON, "-m", "agent", "reconcile", "--since", YESTERDAY, "--data-dir", str(agent.data_dir)]
    done = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, stderr=other, timeout=50, check=False)
    os.close(other)
    shown = b"".join(_all_of(main)).decode()
    os.close(main)
    assert done.returncode == 0
    assert "Flash's feed: 200 orders of 250 (80 %)" in shown
    assert shown.endswith("\r\x1b[K")


def test_it_loads_no_http_library(agent):
    command = (sys.executable, "-X", "importtime")
    place: Path = agent.data_dir
    result = flash_agent("reconcile", "--since", YESTERDAY, "--data-dir", place, python=command)
    assert result.returncode == 0
    assert "aiohttp" not in result.stderr
