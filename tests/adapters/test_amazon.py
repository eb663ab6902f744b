"""What Amazon's documents hold in store for whoever reads them."""

import json

import pytest

from agent.adapters import registry
from agent.adapters.base import Site, documents_of

SETTINGS = {"native_connector": "off", "customer_field": "Member.Number"}


def parse(document, **settings):
    options = registry.options_of("amazon", SETTINGS | settings)
    return registry.adapter("amazon").parse(json.dumps(document).encode(), options, Site("USD"))


def order(**changes):
    fields = {"AmazonOrderId": "701-0000000-0000001", "OrderStatus": "Shipped", "PurchaseDate": "2026-11-20T19:49:35Z"}
    total = {"CurrencyCode": "USD", "Amount": "64.90"}
    return {**fields, "OrderTotal": total, "Member": {"Number": "LC-1"}, **changes}


def of_2026(**changes):
    total = {"grandTotal": {"amount": "64.90", "currencyCode": "USD"}}
    fields = {"orderId": "701-0000000-0000001", "proceeds": total, "Member": {"Number": "LC-1"}}
    return {**fields, "fulfillment": {"fulfillmentStatus": "SHIPPED"}, **changes}


def event(*charges, **changes):
    listed = [
        {"ChargeType": kind, "ChargeAmount": {"CurrencyCode": "USD", "CurrencyAmount": of}} for kind, of in charges
    ]
    item = {"OrderAdjustmentItemId": "301", "ItemChargeAdjustmentList": listed, **changes}
    return {
        "AmazonOrderId": "701-0000000-0000001",
        "PostedDate": "2026-11-25T08:00:00Z",
        "ShipmentItemAdjustmentList": [item],
    }


def transaction(*parts, **changes):
    broken_down = [
        {"breakdownType": kind, "breakdownAmount": {"currencyCode": "USD", "currencyAmount": of}} for kind, of in parts
    ]
    fields = {"transactionType": "Refund", "transactionStatus": "RELEASED", "transactionId": "T-1"}
    named = [{"relatedIdentifierName": "ORDER_ID", "relatedIdentifierValue": "701-0000000-0000001"}]
    item = {"itemRelatedIdentifierName": "ORDER_ADJUSTMENT_ITEM_ID", "itemRelatedIdentifierValue": "301"}
    items = [{"relatedIdentifiers": [item]}]
    return {**fields, "relatedIdentifiers": named, "items": items, "breakdowns": broken_down, **changes}


def test_both_apis_tell_the_same_order():
    old, new = documents_of(parse([order(), of_2026()]))
    assert old.external_order_id == new.external_order_id == "amazon-701-0000000-0000001"
    assert (old.total_amount, old.customer, old.currency) == (new.total_amount, new.customer, new.currency)


@pytest.mark.parametrize("made", [order, of_2026])
def test_an_alias_is_nobody(made):
    """A member found by it would be another's, or nobody's for ever."""
    alias = {"BuyerEmail": "x1@marketplace.amazon.com", "buyerEmail": "x1@marketplace.amazon.com"}
    (skipped,) = parse(made(BuyerInfo=alias, buyer=alias, Member=None))
    assert (skipped.code, skipped.fault) == ("no-customer", False)
    (skipped,) = parse(made(BuyerInfo=alias, buyer=alias), customer_field="")
    assert skipped.code == "no-customer"


@pytest.mark.parametrize(
    "status", ["Pending", "PendingAvailability", "Unshipped", "PartiallyShipped", "PENDING", "PARTIALLY_SHIPPED"]
)
def test_what_has_not_shipped_whole_earns_nothing(status):
    items = parse([order(OrderStatus=status), of_2026(fulfillment={"fulfillmentStatus": status})])
    assert [item.code for item in items] == ["not-shipped", "not-shipped"]


@pytest.mark.parametrize("flag", ["true", True])
def test_a_replacement_earns_nothing_however_it_says_so(flag):
    related = [{"associationType": "REPLACEMENT_ORIGINAL_ID"}]
    items = parse([order(IsReplacementOrder=flag), of_2026(associatedOrders=related)])
    assert [item.code for item in items] == ["replacement", "replacement"]
    assert documents_of(parse(order(IsReplacementOrder="false")))


def test_what_amazon_only_ships_is_awarded_by_its_own_shop():
    items = parse([order(SalesChannel="Non-Amazon"), of_2026(salesChannel={"channelName": "NON_AMAZON"})])
    assert [item.code for item in items] == ["other-channel", "other-channel"]


def test_the_buyers_wish_to_cancel_changes_nothing_of_what_has_shipped():
    assert documents_of(parse(order(BuyerRequestedCancel={"IsBuyerRequestedCancel": "true"})))


def test_a_shipped_order_without_total_is_for_a_person():
    (skipped,) = parse(order(OrderTotal=None))
    assert (skipped.code, skipped.fault) == ("unsound", True)
    assert "OrderTotal" in skipped.reason


def test_the_buyer_gets_the_charges_less_the_promotion_and_the_fees_are_not_his():
    promotion = [{"PromotionAmount": {"CurrencyCode": "USD", "CurrencyAmount": 3}}]
    fees = [{"FeeType": "Commission", "FeeAmount": {"CurrencyCode": "USD", "CurrencyAmount": 4.5}}]
    withheld = [{"TaxesWithheld": [{"ChargeAmount": {"CurrencyCode": "USD", "CurrencyAmount": 2.4}}]}]
    refund = event(
        ("Principal", -30), ("Tax", -2.4),
        PromotionAdjustmentList=promotion, ItemFeeAdjustmentList=fees, ItemTaxWithheldList=withheld,
    )  # fmt: skip
    (found,) = documents_of(parse({"payload": {"FinancialEvents": {"RefundEventList": [refund]}}}))
    assert (str(found.amount), found.if_known) == ("29.4", True)


def test_both_finances_apis_tell_the_same_refund():
    """A site that reads both must not take back twice."""
    (old,) = documents_of(parse({"payload": {"FinancialEvents": {"RefundEventList": [event(("Principal", -30))]}}}))
    (new,) = documents_of(parse({"payload": {"transactions": [transaction(("Sales", -30), ("AmazonFees", 4))]}}))
    assert (old.external_order_id, old.refund_id, old.amount) == (new.external_order_id, new.refund_id, new.amount)


def test_a_breakdown_that_nobody_knows_is_for_a_person_until_the_site_says_whose_it_is():
    unknown = transaction(("ProductCharges", -30), ("Goodwill Gift", -5))
    (skipped,) = parse(unknown)
    assert (skipped.code, skipped.fault) == ("amount-unclear", True)
    (found,) = documents_of(parse(unknown, buyer_breakdowns=["ProductCharges", "GoodwillGift"]))
    assert found.amount == 35


def test_a_notification_is_no_order():
    (skipped,) = parse({"NotificationType": "ORDER_CHANGE", "Payload": {"OrderChangeNotification": {}}})
    assert (skipped.code, skipped.fault) == ("notification", False)


def test_the_order_of_the_items_makes_no_other_refund():
    first, second = (event(("Principal", -5), OrderAdjustmentItemId=number) for number in ("302", "301"))
    items = [first["ShipmentItemAdjustmentList"][0], second["ShipmentItemAdjustmentList"][0]]
    told = [documents_of(parse({**first, "ShipmentItemAdjustmentList": listed}))[0] for listed in (items, items[::-1])]
    assert told[0] == told[1]
    assert (told[0].refund_id, told[0].amount) == ("amazon-refund-301", 10)


def test_amounts_beyond_measure_are_a_fault_and_no_crash():
    """Each can be read; together they cannot be added up."""
    refund = json.dumps(event(("Principal", -1), ("Tax", -1))).replace(
        '"CurrencyAmount": -1', '"CurrencyAmount": -9e999999'
    )
    options = registry.options_of("amazon", SETTINGS)
    (skipped,) = registry.adapter("amazon").parse(refund.encode(), options, Site("USD"))
    assert (skipped.code, skipped.fault) == ("unsound", True)
