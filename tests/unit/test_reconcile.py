"""The comparison itself: what is a difference and what is none, whatever the order and the repeats of Flash's rows."""

import tracemalloc
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.flash_feed import STALLED_PAGES, Walk
from agent.errors import AgentError
from agent.flash import readings
from agent.reconcile.differences import MEANINGS, Code
from agent.reconcile.ledger import Ledger

BEFORE, SINCE, DURING, READ, AFTER = (f"2026-11-22T0{hour}:00:00.000Z" for hour in range(5))


def operation(kind="sale", amount: object = 120, *, status="succeeded", accepted=DURING, settled=DURING, **more):
    name = "totalAmount" if kind == "sale" else "amount"
    return {
        "id": f"op_{kind}",
        "kind": kind,
        "status": status,
        "upstreamOrderId": "1",
        "acceptedAt": accepted,
        "settledAt": None if status == "pending" else settled,
        "attempts": 1,
        "request": {} if amount is None else {name: amount},
        "result": {"awarded": 6} if kind == "sale" and status == "succeeded" else {},
        **more,
    }


def row(**more):
    blank = {"upstreamOrderId": "1", "totalAmount": "120.00", "storeId": "st_1", "refunded": "0", "awarded": 6}
    return {**blank, "updatedAt": None, "here": "kept", **more}


def ledger(*operations, rows=(), everything=False):
    made = Ledger("st_1", SINCE, everything=everything)
    for each in operations:
        made.sent(each)
    made.begin_reading(READ)
    for each in rows:
        made.changed(each)
    return made


def codes(*operations, rows=()):
    return [each.code for each in ledger(*operations, rows=rows).differences()]


@pytest.mark.parametrize(
    ("sale", "there", "code"),
    [
        (operation(), row(), None),
        (operation(amount="120.0"), row(), None),
        (operation(amount=Decimal("120.000")), row(), None),
        (operation(), row(totalAmount=None, refunded=None, awarded=None, storeId=None), None),
        (operation(result={"awarded": 0, "reason": "not-a-member"}), row(awarded=0), None),
        (operation(), row(totalAmount="119.99"), Code.AMOUNT),
        (operation(status="pending"), row(), Code.LANDED_PENDING),
        (operation(status="pending"), row(totalAmount="1"), Code.AMOUNT),
        (operation(status="failed"), row(), Code.LANDED_FAILED),
        (operation(status="failed"), row(totalAmount="1"), Code.AMOUNT),
        (operation(status="discarded"), row(), Code.LANDED_DISCARDED),
        (operation(status="discarded"), row(totalAmount="1"), None),
        (operation(), row(awarded=5), Code.POINTS),
        (operation(), row(awarded=5, refunded="20", here="kept"), Code.REFUNDED_ELSEWHERE),
        (operation(), None, Code.MISSING),
        (operation(accepted=BEFORE), None, None),
        (operation(settled=AFTER), None, None),
        (operation(settled=READ), None, None),
        (operation(status="pending"), None, None),
        (operation(status="failed"), None, None),
        (operation(status="discarded"), None, None),
        (operation(upstreamOrderId=None), None, None),
        (operation("enrollment"), None, None),
    ],
)
def test_a_sale(sale, there, code):
    assert codes(sale, rows=[there] if there else []) == ([code] if code else [])


def test_of_several_sales_of_a_number_the_newest_that_was_not_discarded_holds_it():
    discarded, failed = operation(status="discarded", id="new"), operation(status="failed", id="old")
    for newest_first in ([discarded, failed], [failed, discarded], [discarded, failed, operation(id="oldest")]):
        (seen,) = ledger(*newest_first, rows=[row()]).differences()
        assert (seen.code, seen.operation_id) == (Code.LANDED_FAILED, "old")


@pytest.mark.parametrize(
    ("refunds", "refunded", "code"),
    [
        ([operation("refund", 20), operation("refund", 30)], "50", None),
        ([operation("refund", 20), operation("refund", 30)], "49.99", Code.REFUND_MISSING),
        ([operation("refund", 20)], "30", Code.REFUNDED_ELSEWHERE),
        ([operation("refund", 20)], None, None),
        ([operation("refund", None), operation("refund", 30)], "120", None),
        ([operation("refund", None)], "119", Code.REFUND_MISSING),
        ([operation("refund", 20, settled=AFTER)], "0", None),
        ([operation("refund", 20, settled=AFTER)], "20", None),
        ([operation("refund", 20, status="declined")], "0", None),
        ([operation("refund", 20, status="pending")], "20", Code.REFUND_LANDED_PENDING),
        ([operation("refund", None, status="pending")], "20", Code.REFUND_LANDED_PENDING),
        ([operation("refund", 20, status="pending")], "21", Code.REFUNDED_ELSEWHERE),
        ([operation("refund", 20, status="failed"), operation("refund", 5)], "25", Code.REFUND_LANDED),
        ([operation("refund", 20, status="discarded")], "20", Code.REFUND_LANDED),
        ([operation("refund", 20, status="discarded", attempts=0)], "20", Code.REFUNDED_ELSEWHERE),
    ],
)
def test_refunds_of_a_known_sale(refunds, refunded, code):
    assert codes(*refunds, operation(), rows=[row(refunded=refunded)]) == ([code] if code else [])


def test_refunds_of_another_tills_sale():
    refund = operation("refund", 20)
    assert codes(refund, rows=[row(refunded="20")]) == codes(refund, rows=[row(refunded="25")]) == []
    assert codes(refund, rows=[row(refunded="19")]) == codes(refund) == [Code.REFUND_MISSING]
    assert codes(operation("refund", None), rows=[row(refunded="119")]) == [Code.REFUND_MISSING]
    assert codes(operation("refund", None), rows=[row(refunded="5", totalAmount=None)]) == []
    made = ledger(refund, rows=[row(refunded="19")])
    assert made.earlier() == ["1"]  # its sale may be from before
    made.replace("1", [refund, operation(upstreamOrderId=None)])
    assert made.differences() == []  # a refund without contents is in no sum


def test_a_number_that_was_corrected_is_the_corrected_sale():
    newest_first = [operation(amount=50), operation(amount=60, status="discarded")]
    assert codes(*newest_first, rows=[row(totalAmount="50")]) == []
    assert codes(*newest_first[::-1], rows=[row(totalAmount="50")]) == []
    assert codes(*newest_first) == [Code.MISSING]


def test_what_is_not_this_tills_is_counted():
    rows = [
        row(upstreamOrderId="a", here="unknown"),
        row(upstreamOrderId="a", here="unknown"),
        row(upstreamOrderId="b", here="unknown", storeId="st_2"),
        row(upstreamOrderId="c", here="unknown", storeId=None),
        row(upstreamOrderId="d", here="stripped"),
    ]
    made = ledger(rows=rows)
    assert made.differences() == []
    assert {name: made.counts[name] for name in ("flashRows", "matched", "others", "withoutStore", "outOfReach")} == {
        "flashRows": 5, "matched": 0, "others": 1, "withoutStore": 1, "outOfReach": 1,
    }  # fmt: skip
    assert made.others == {"a": None}
    assert ledger(rows=rows, everything=True).others == {"a": rows[1]}


def test_what_was_accepted_before_and_changed_since_is_looked_up():
    made = ledger(rows=[row(totalAmount="1")])
    assert (made.earlier(), made.differences()) == (["1"], [])
    made.replace("1", [operation(accepted=BEFORE), operation(upstreamOrderId="other")])
    assert [each.code for each in made.differences()] == [Code.AMOUNT]
    assert made.counts["sales"] == 0  # none of this period's


def test_a_second_reading_ends_what_was_overlooked():
    made = ledger(operation(accepted=DURING))
    assert made.doubtful() == ["1"]
    assert made.feed_again_from() == DURING
    made.begin_reading(AFTER)
    made.changed(row())
    assert (made.doubtful(), made.feed_again_from()) == ([], None)
    assert (made.counts["flashRows"], made.counts["matched"]) == (0, 1)  # rows are those of the first reading


def test_a_row_of_an_earlier_reading_is_not_held_against_what_was_settled_since():
    made = ledger(operation(), operation("refund", 20, settled=AFTER), rows=[row()])
    made.begin_reading("2026-11-22T09:00:00.000Z")  # which does not show the order
    assert made.differences() == []


@given(st.permutations([(number, again) for number in range(4) for again in range(2)]))
def test_the_order_of_rows_and_their_repeats_are_nothing(order):
    operations = [operation(upstreamOrderId=str(number)) for number in range(3)]
    rows = [row(upstreamOrderId=str(number), totalAmount=["120", "7", "120", "120"][number],
                here="unknown" if number == 3 else "kept") for number, _ in order]  # fmt: skip
    made = ledger(*operations, rows=rows)
    assert [(each.code, each.order_id) for each in made.differences()] == [(Code.AMOUNT, "1")]
    assert made.counts["others"] == 1


def test_every_difference_has_a_meaning_and_a_mend():
    assert MEANINGS.keys() == set(Code)
    assert all(each.text.endswith(".") and each.mend.endswith(".") for each in MEANINGS.values())


def test_what_it_holds_is_a_kilobyte_an_order():
    """As docs/reconcile.md says: 20,000 of the till's own, without the strings of JSON that the caller holds."""
    tracemalloc.start()
    made = Ledger("st_1", SINCE)
    made.begin_reading(READ)
    for number in range(20_000):
        made.sent(operation(upstreamOrderId=f"2026-11-22-till-1-{number}", id=f"op_{number:032x}"))
        made.changed(row(upstreamOrderId=f"2026-11-22-till-1-{number}", updatedAt=f"2026-11-22T00:00:00.{number:06}Z"))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert made.counts["matched"] == 20_000
    assert held / 20_000 < 1100


# ---- the watch over a reading


def pages(*, total, rows, moving=False, cursor="c{}"):
    for number in range(100_000):
        moment = f"2026-11-22T00:{number // 60:05}:{number % 60:02}" if moving else "2026-11-22T00:00:00"
        orders = [{"updatedAt": moment}] * rows
        yield {"orders": orders, "total": total, "nextCursor": cursor.format(number)}


def read_until_noticed(found, limit):
    walk = Walk()
    for number, page in enumerate(found):
        if number == limit:
            return None
        try:
            walk.check(page)
        except AgentError:
            return number + 1
    raise AssertionError("it ended by itself")


def test_pages_that_go_round_are_noticed_and_long_feeds_are_not():
    assert read_until_noticed(pages(total=None, rows=200, cursor="same"), 10) == 2
    assert read_until_noticed(pages(total=None, rows=200), 1000) == STALLED_PAGES + 1
    assert read_until_noticed(pages(total=None, rows=0), 1000) == STALLED_PAGES + 1
    assert read_until_noticed(pages(total=1000, rows=200), 1000) == 31
    assert read_until_noticed(pages(total=3, rows=0), 1000) == 27
    assert read_until_noticed(pages(total=None, rows=200, moving=True), 5000) is None
    assert read_until_noticed(pages(total=10**6, rows=200), 5000) is None


# ---- the readings


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
FIELDS = ["externalOrderId", "totalAmount", "storeId", "refundedAmount", "refunds", "awarded", "updatedAt", "memberId"]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON) | JSON)
def test_no_row_is_an_error(found):
    read = readings.order_of(found)
    assert read is None or (isinstance(read["upstreamOrderId"], str) and "memberId" not in read)


@pytest.mark.parametrize(
    ("told", "refunded"),
    [
        ({}, None),
        ({"refundedAmount": 5}, 5),
        ({"refundedAmount": "5.50", "refunds": []}, Decimal("5.5")),
        ({"refunds": []}, 0),
        ({"refunds": [{"amount": Decimal("1.5")}, {"amount": 2}]}, Decimal("3.5")),
        ({"refunds": [{"amount": 2}, {}]}, None),
        ({"refundedAmount": -5}, None),
        ({"refundedAmount": "NaN"}, None),
        ({"refundedAmount": Decimal("1E+999999")}, None),
    ],
)
def test_what_was_refunded_is_read_where_it_is_told(told, refunded):
    read = readings.order_of({"externalOrderId": "1", **told})
    assert read["refunded"] == refunded
