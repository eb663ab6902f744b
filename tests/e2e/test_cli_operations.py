"""`operations`, as an operator meets it: real processes beside a running agent."""

import json
import re

import pytest

from agent.clock import local_text
from tests.support.agents import AgentProcess
from tests.support.commands import (
    Flash,
    fail,
    of,
    post,
    sell,
    until,
)

pytestmark = pytest.mark.e2e

SOME_ID = "op_019aa0e2b1f00123456789abcdef0123"


def test_the_list_is_a_table_that_can_be_narrowed(agent: AgentProcess) -> None:
    kept = sell(agent, "90871", 120, wait=10, currency="USD", businessDate="2026-03-14")
    refund = post(agent, "refunds", {"externalOrderId": "90871", "refundId": "R-1", "amount": 40.5}, wait=10)
    other = sell(agent, "90872", 5.25, wait=10)
    header, *rows = of(agent, "operations", "list").stdout.splitlines()
    assert [row.split()[0] for row in rows] == [other["id"], refund["id"], kept["id"]]
    assert [row[header.index("STATUS") :].split()[0] for row in rows] == ["succeeded"] * 3
    end = header.index("AMOUNT") + len("AMOUNT")
    assert [row[:end].split()[-1] for row in (rows[0], rows[1])] == ["5.25", "40.5"]
    assert [row.split("  ")[-1] for row in rows] == ["0 points", "-2 points", "+6 points"]
    assert "120 USD" in rows[2]

    def ids(*arguments: str) -> list[str]:
        return [each["id"] for each in json.loads(of(agent, "operations", "list", "--json", *arguments).stdout)]

    assert ids("--kind", "refund") == [refund["id"]]
    assert ids("--order", "90871") == [refund["id"], kept["id"]]
    assert ids("--date", "2026-03-14") == [kept["id"]]
    assert ids("--limit", "2") == [other["id"], refund["id"]]
    assert ids("--status", "failed") == []
    assert "There are no such operations." in of(agent, "operations", "list", "--status", "failed").stdout


def test_a_long_list_is_read_page_by_page(offline: AgentProcess) -> None:
    made = [sell(offline, str(number), number)["id"] for number in range(1, 206)]
    listed = json.loads(of(offline, "operations", "list", "--limit", "500", "--json").stdout)
    assert [operation["id"] for operation in listed] == made[::-1]
    assert len(of(offline, "operations", "list").stdout.splitlines()) == 1 + 50


def test_one_operation_in_full(agent: AgentProcess) -> None:
    sale = sell(agent, "90871", 120, wait=10, metadata={"cashier": "\x1b[31m7", "countedAt": "2026-01-01T00:00:00Z"})
    result = of(agent, "operations", "show", sale["id"])
    shown = dict(re.split(r"  +", line, maxsplit=1) for line in result.stdout.splitlines())
    assert (shown["id"], shown["status"], shown["request.totalAmount"]) == (sale["id"], "succeeded", "120")
    assert (shown["result.awarded"], shown["error"], shown["attempts"]) == ("6", "-", "1")
    assert (shown["acceptedAt"], shown["replayed"]) == (local_text(sale["acceptedAt"]), "no")
    assert shown["metadata.countedAt"] == "2026-01-01T00:00:00Z", "what is the register's own stays as it came"
    assert shown["metadata.cashier"] == "?[31m7", "nothing stored can steer the terminal"
    assert json.loads(of(agent, "operations", "show", sale["id"], "--json").stdout)["id"] == sale["id"]
    unknown = of(agent, "operations", "show", SOME_ID)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "There is no operation with this id." in unknown.stderr


def test_retry_takes_what_failed_and_nothing_else(agent: AgentProcess, flash: Flash) -> None:
    one, other = fail(agent, flash, "1"), fail(agent, flash, "2")
    fine = sell(agent, "3", 3, wait=10)
    result = of(agent, "operations", "retry", one["id"], fine["id"])
    assert result.returncode == 1
    retried, refused = result.stdout.splitlines()
    assert retried == f"{one['id']}  pending"
    assert refused.startswith(f"{fine['id']}  not retried: ")
    assert "succeeded" in refused

    def failed() -> set[str]:
        listed = json.loads(of(agent, "operations", "list", "--status", "failed", "--json").stdout)
        return {operation["id"] for operation in listed}

    until(lambda: failed() == {one["id"], other["id"]})  # Flash still says no
    everything = of(agent, "operations", "retry", "--all-failed")
    assert everything.returncode == 0
    assert sorted(everything.stdout.splitlines()) == sorted(f"{each['id']}  pending" for each in (one, other))


def test_discard_says_what_becomes_of_those_that_waited(agent: AgentProcess, flash: Flash) -> None:
    sale = fail(agent, flash, "1")
    refund = post(agent, "refunds", {"externalOrderId": "1", "refundId": "R-1"})
    result = of(agent, "operations", "discard", sale["id"], "--reason", "rung up twice")
    assert result.returncode == 0
    first, dependent = result.stdout.splitlines()
    assert first == f"{sale['id']}  sale  discarded"
    assert dependent == f"  {refund['id']}  refund  discarded with it"
    assert "rung up twice" in of(agent, "operations", "show", sale["id"]).stdout

    newcomer = {"externalId": "POS-CUST-9", "email": "ada@example.com"}  # the e-mail is another member's
    enrollment = post(agent, "enrollments", newcomer, wait=10)
    assert enrollment["status"] == "failed"
    waiting = sell(agent, "2", 20, customer={"externalId": "POS-CUST-9"})
    result = of(agent, "operations", "discard", enrollment["id"], "--reason", "mistyped")
    assert f"  {waiting['id']}  sale  goes on without it" in result.stdout.splitlines()
    again = of(agent, "operations", "discard", enrollment["id"], "--reason", "mistyped")
    assert (again.returncode, again.stdout) == (1, "")
    assert "cannot be discarded" in again.stderr


def test_a_catalog_shows_what_flash_took_and_each_row_that_it_did_not(agent: AgentProcess) -> None:
    rows = [{"externalId": "P-1", "title": "Ring"}, {"externalId": "P-2"}, {"externalId": "P-3", "title": 7}]
    catalog = post(agent, "catalogs", {"source": "erp", "products": rows}, wait=10, scope="operator")
    _, row = of(agent, "operations", "list", "--kind", "catalog").stdout.splitlines()
    assert "  erp  " in row
    assert row.endswith("1 inserted, 0 updated, rows refused")
    shown = of(agent, "operations", "show", catalog["id"]).stdout.splitlines()
    (first,) = [number for number, line in enumerate(shown) if line.startswith("warnings")]
    assert "Flash did not take 2 of 3 rows" in shown[first]
    assert shown[first + 1].strip().startswith("products P-2: title")
    assert shown[first + 2].strip().startswith("products P-3: title")
    assert "catalog-rows-refused" in of(agent, "status").stdout
    closed = of(agent, "operations", "close", catalog["id"], "--reason", "not sold here")
    assert closed.stdout.strip() == f"{catalog['id']}  catalog  succeeded  its refused rows are left as they are"
    _, row = of(agent, "operations", "list", "--kind", "catalog").stdout.splitlines()
    assert row.endswith("  closed")
    assert "catalog-rows-refused" not in of(agent, "status").stdout
    again = of(agent, "operations", "close", catalog["id"], "--reason", "not sold here")
    assert (again.returncode, again.stdout) == (1, "")
    assert "nothing to close" in again.stderr
