"""Salesforce: a purchase earns once and a return gives back once, whichever of their records come in which document."""

import pytest

from agent.adapters import registry
from agent.errors import ConfigError
from tests.adapters.parsing import codes, found, items_of
from tests.adapters.salesforce_records import (
    MEMOS,
    ORDER,
    ORDER_18,
    ORIGINAL,
    ORIGINAL_18,
    SUMMARY,
    SUMMARY_18,
    TYPED,
    back,
    memo,
    order,
    record,
    summary,
)


@pytest.mark.parametrize("spelled", [ORDER, ORDER_18])
@pytest.mark.parametrize("named", [{"OrderId": ORDER}, {"OrderId": ORDER_18}, {"Order": {"Id": ORDER}}])
def test_a_return_names_its_order_as_the_order_does(spelled, named):
    sale, refund = found("salesforce", [order(Id=spelled), back(**named)])
    assert sale["externalOrderId"] == refund["externalOrderId"] == f"salesforce-{ORDER_18}"


def test_by_number_a_return_needs_its_orders_number():
    options = {"order_id": "number", "sales_from": "orders"}
    sale, refund = found("salesforce", [order(), back(OrderId=ORDER)], **options)
    assert sale["externalOrderId"] == refund["externalOrderId"] == "salesforce-00000201"
    related = {"attributes": {"type": "Order"}, "Id": ORDER_18, "OrderNumber": "00000201"}
    (refund,) = found("salesforce", back(OrderId=ORDER, Order=related), **options)
    assert refund["externalOrderId"] == "salesforce-00000201"
    assert codes("salesforce", back(OrderId=ORDER), **options) == ["number-not-in-document!"]


def test_by_number_only_one_kind_earns_for_the_two_may_have_two_numbers():
    with pytest.raises(ConfigError, match="sales_from"):
        registry.options_of("salesforce", {"order_id": "number"})
    options = {"order_id": "number", "sales_from": "order-summaries"}
    assert codes("salesforce", [order(Id=ORIGINAL), summary()], **options) == ["counted-as-summary", "sale"]
    waiting, returned = summary(Status="Created"), back(OrderSummaryId=SUMMARY, OrderId=ORIGINAL)
    (refund,) = found("salesforce", [waiting, returned], **options)
    assert refund["externalOrderId"] == "salesforce-00000101"
    (sale,) = found("salesforce", summary(OriginalOrderId=None), **options)
    assert sale["externalOrderId"] == "salesforce-00000101"


@pytest.mark.parametrize(
    "shown",
    [
        {"OriginalOrderId": ORIGINAL},
        {"OriginalOrderId": ORIGINAL_18},
        {"OriginalOrderId": None, "OriginalOrder": {"Id": ORIGINAL}},
        {"OriginalOrderId": None, "OriginalOrder": record("Order", GrandTotalAmount=240.5)},
    ],
)
def test_an_order_and_its_summary_are_one_sale_in_documents_of_their_own(shown):
    if "OriginalOrder" in shown and "Id" not in shown["OriginalOrder"]:
        shown["OriginalOrder"]["attributes"]["url"] = f"/services/data/v62.0/sobjects/Order/{ORIGINAL_18}"
    (of_order,) = found("salesforce", order(Id=ORIGINAL, TotalAmount=240.5))
    (of_summary,) = found("salesforce", summary(**shown))
    assert of_order["externalOrderId"] == of_summary["externalOrderId"] == f"salesforce-{ORIGINAL_18}"
    assert of_order["totalAmount"] == of_summary["totalAmount"]


@pytest.mark.parametrize("chosen", [{}, {"sales_from": "order-summaries"}])
def test_a_summary_that_does_not_show_its_order_is_left_to_a_person(chosen):
    (item,) = items_of("salesforce", summary(OriginalOrderId=None), **chosen)
    assert (item.code, item.fault) == ("no-original-order", True)
    assert "OriginalOrderId" in item.reason


def test_a_summary_is_of_the_order_that_any_record_of_the_document_shows():
    shown = record("OrderSummary", Id=SUMMARY_18, OriginalOrderId=ORIGINAL)
    document = [summary(OriginalOrderId=None), back(OrderSummaryId=SUMMARY, OrderSummary=shown, Status="Submitted")]
    (sale,) = found("salesforce", document)
    assert sale["externalOrderId"] == f"salesforce-{ORIGINAL_18}"


def test_of_an_order_and_its_summary_in_one_document_the_summary_earns():
    both = [order(Id=ORIGINAL), summary()]
    assert codes("salesforce", both) == ["counted-as-summary", "sale"]
    assert codes("salesforce", [order(), *both]) == ["sale", "counted-as-summary", "sale"]
    assert codes("salesforce", both, sales_from="orders") == ["sale", "counted-as-order"]
    assert codes("salesforce", order(), sales_from="order-summaries") == ["counted-as-summary"]


def test_a_return_and_its_credit_memo_never_both_give_back():
    of_return, of_memo = back(OrderId=ORIGINAL), memo(ReferenceEntityId=ORIGINAL)
    assert codes("salesforce", of_return) == ["refund"]
    (item,) = items_of("salesforce", of_memo)
    assert (item.code, item.fault) == ("credit-undecided", True)
    assert "refunds_from" in item.reason
    assert codes("salesforce", memo(Status="Draft")) == ["status"]
    both = [of_return, of_memo]
    assert codes("salesforce", both) == ["refund", "credit-undecided!"]
    assert codes("salesforce", both, refunds_from="return-orders") == ["refund", "counted-as-return"]
    assert codes("salesforce", both, refunds_from="credit-memos") == ["counted-as-credit", "refund"]
    assert codes("salesforce", both, refunds_from="both") == ["refund", "refund"]


def test_a_summary_that_a_return_has_shrunk_is_not_awarded_by_what_is_left():
    shrunk = summary(GrandTotalAmount=220.5)
    assert codes("salesforce", [shrunk, back(OrderSummaryId=SUMMARY_18)]) == ["total-after-return!", "refund"]
    assert codes("salesforce", [shrunk, back(OrderId=ORIGINAL)]) == ["total-after-return!", "refund"]
    by_memo = codes("salesforce", [shrunk, memo(ReferenceEntityId=SUMMARY)], refunds_from="credit-memos")
    assert by_memo == ["total-after-return!", "refund"]
    assert codes("salesforce", [shrunk, back(OrderSummaryId=SUMMARY, Status="Submitted")]) == ["sale", "status"]
    stays = {**shrunk, "OriginalOrder": {"GrandTotalAmount": 240.5}}
    totals = ["OriginalOrder.GrandTotalAmount", "GrandTotalAmount"]
    sale, _ = found("salesforce", [stays, back(OrderSummaryId=SUMMARY)], order_summary_totals=totals)
    assert sale["totalAmount"] == 240.5
    fallen_back = codes("salesforce", [shrunk, back(OrderSummaryId=SUMMARY)], order_summary_totals=totals)
    assert fallen_back == ["total-after-return!", "refund"]


@pytest.mark.parametrize(
    ("of", "beside"),
    [
        ({"ReferenceEntityId": ORIGINAL}, []),
        ({"ReferenceEntityId": SUMMARY}, [summary(Status="Created")]),
        ({"ReferenceEntityId": SUMMARY, "ReferenceEntity": TYPED}, []),
        ({"ReferenceEntityId": "0tEDn0000000001"}, [back(OrderId=ORIGINAL)]),
        ({"ReferenceEntityId": "3ttDn0000000001"}, [record("Invoice", Id="3ttDn0000000001", ReferenceEntity=TYPED)]),
        (
            {
                "ReferenceEntityId": "3ttDn0000000001",
                "ReferenceEntity": record("Invoice", Id="3ttDn0000000001", ReferenceEntityId=ORIGINAL),
            },
            [],
        ),
    ],
)
def test_a_credit_memo_is_walked_to_its_order(of, beside):
    (refund,) = found("salesforce", [memo(**of), *beside], **MEMOS)
    assert refund["externalOrderId"] == f"salesforce-{ORIGINAL_18}"


def test_a_walk_that_leads_nowhere_is_a_fault_and_ends():
    assert codes("salesforce", memo(ReferenceEntityId="3ttDn0000000009"), **MEMOS) == ["order-not-in-document!"]
    ring = record("Invoice", Id="3ttDn0000000001", ReferenceEntityId="3ttDn0000000001")
    ringed = codes("salesforce", [memo(ReferenceEntityId="3ttDn0000000001"), ring], **MEMOS)
    assert ringed == ["order-not-in-document!", "not-taken"]
    assert codes("salesforce", memo(), **MEMOS) == ["return-without-sale"]


@pytest.mark.parametrize("chosen", [{}, {"sales_from": "orders"}, {"sales_from": "order-summaries"}])
def test_a_return_finds_the_sale_whichever_record_it_names(chosen):
    related = record("OrderSummary", Id=SUMMARY_18, OriginalOrderId=ORIGINAL)
    for named in (
        {"OrderId": ORIGINAL},
        {"OrderSummaryId": SUMMARY, "OrderId": ORIGINAL},
        {"OrderSummaryId": SUMMARY, "OrderSummary": related},
    ):
        (refund,) = found("salesforce", back(**named), **chosen)
        assert refund["externalOrderId"] == f"salesforce-{ORIGINAL_18}"
    beside = found("salesforce", [summary(Status="Created"), back(OrderSummaryId=SUMMARY)], **chosen)
    assert [refund["externalOrderId"] for refund in beside] == [f"salesforce-{ORIGINAL_18}"]
    (item,) = items_of("salesforce", back(OrderSummaryId=SUMMARY), **chosen)
    assert (item.code, item.fault) == ("order-not-in-document", True)
    assert "OrderSummary.OriginalOrderId" in item.reason


def test_what_is_of_a_change_order_is_of_the_order_that_it_changed():
    change = order(Id="801Dn0000000209", RelatedOrderId=ORIGINAL, TotalAmount=-20)
    (refund,) = found("salesforce", [change, memo(ReferenceEntityId="801Dn0000000209")], **MEMOS)
    assert refund["externalOrderId"] == f"salesforce-{ORIGINAL_18}"
