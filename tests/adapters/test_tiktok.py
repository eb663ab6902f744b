"""What TikTok Shop's documents hold in store for whoever reads them."""

import json

import pytest

from agent.adapters import registry
from agent.adapters.base import Site, documents_of

OFF = {"native_connector": "off"}


def parse(document, **settings):
    options = registry.options_of("tiktok", OFF | settings)
    return registry.adapter("tiktok").parse(json.dumps(document).encode(), options, Site("USD"))


def order(**changes):
    fields = {"id": "576461413038785752", "status": "DELIVERED", "user_id": "7021436810468230477"}
    return {**fields, "create_time": 1784030587, "payment": {"currency": "USD", "total_amount": "20.50"}, **changes}


def legacy(**changes):
    fields = {"order_id": "576461413038785752", "order_status": 130, "buyer_uid": "7021436810468230477"}
    return {
        **fields,
        "create_time": "1784030587000",
        "payment_info": {"currency": "USD", "total_amount": 20.5},
        **changes,
    }


def returned(**changes):
    fields = {"return_id": "4035463945335048707", "order_id": "576461413038785752", "return_type": "RETURN_AND_REFUND"}
    amount = {"currency": "USD", "refund_total": "9.00"}
    return {**fields, "return_status": "RETURN_OR_REFUND_REQUEST_COMPLETE", "refund_amount": amount, **changes}


def test_a_cancelled_order_earns_nothing_though_it_keeps_its_total():
    items = parse([order(status="CANCELLED"), legacy(order_status=140)])
    assert [(item.code, item.fault) for item in items] == [("cancelled", False), ("cancelled", False)]


@pytest.mark.parametrize(
    "status",
    ["UNPAID", "ON_HOLD", "AWAITING_SHIPMENT", "PARTIALLY_SHIPPING", "AWAITING_COLLECTION", "IN_TRANSIT", "NEW"],
)
def test_what_is_not_delivered_earns_nothing(status):
    assert [item.code for item in parse(order(status=status))] == ["not-delivered"]


def test_the_legacy_shape_tells_the_same_order():
    new, old = documents_of(parse([order(), legacy()]))
    assert (new.external_order_id, new.customer, new.occurred_at) == (
        old.external_order_id,
        old.customer,
        old.occurred_at,
    )
    assert new.total_amount == old.total_amount
    assert new.occurred_at == "2026-07-14T12:03:07+00:00"


@pytest.mark.parametrize(
    ("flag", "code"),
    [
        ({"is_sample_order": True}, "sample"),
        ({"is_replacement_order": "true"}, "replacement"),
        ({"order_type": "ZERO_LOTTERY"}, "lottery"),
        ({"line_items": [{"sku_type": "ZERO_LOTTERY"}]}, "lottery"),
    ],
)
def test_what_was_not_bought_earns_nothing(flag, code):
    assert [item.code for item in parse(order(**flag))] == [code]
    bought_too = order(line_items=[{"sku_type": "ZERO_LOTTERY"}, {"sku_type": "NORMAL"}])
    assert documents_of(parse(bought_too))


def test_an_alias_is_nobody():
    assert [item.code for item in parse(order(user_id=None, buyer_email="v2b2V5@chat.seller.tiktok.com"))] == [
        "no-customer"
    ]


def test_a_return_counts_once_though_it_succeeds_and_then_is_complete():
    succeeded, complete = documents_of(parse([returned(return_status="RETURN_OR_REFUND_REQUEST_SUCCESS"), returned()]))
    assert succeeded == complete
    (sale,) = documents_of(parse(order()))
    assert succeeded.external_order_id == sale.external_order_id
    assert succeeded.if_known is True


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"return_type": "REPLACEMENT"}, "replacement"),
        ({"return_status": "RETURN_OR_REFUND_REQUEST_PENDING"}, "return-open"),
        ({"return_status": "REFUND_OR_RETURN_REQUEST_REJECT"}, "return-open"),
        ({"return_status": "RETURN_OR_REFUND_REQUEST_CANCEL"}, "return-open"),
        ({"refund_amount": {"currency": "USD", "refund_total": "0"}}, "nothing-refunded"),
        ({"order_id": None}, "return-without-sale"),
    ],
)
def test_what_pays_nothing_back_takes_nothing_back(changes, code):
    (skipped,) = parse(returned(**changes))
    assert (skipped.code, skipped.fault) == (code, False)


def test_a_return_of_another_currency_is_for_a_person():
    (skipped,) = parse(returned(refund_amount={"currency": "VND", "refund_total": "864000"}))
    assert (skipped.code, skipped.fault) == ("foreign-currency", True)


@pytest.mark.parametrize("data", [{"order_id": "576486316948490001", "order_status": "COMPLETED"}, '{"order_id": "5"}'])
def test_a_notification_is_no_order(data):
    (skipped,) = parse({"type": 1, "shop_id": "7494049642642441621", "timestamp": 1644412885, "data": data})
    assert (skipped.code, skipped.fault) == ("notification", False)


def test_statuses_are_the_sites_own():
    (found,) = documents_of(parse(order(status="IN_TRANSIT"), award_statuses=["in_transit", "DELIVERED"]))
    assert str(found.total_amount) == "20.50"


def test_an_order_of_which_a_part_was_cancelled_is_for_a_person_until_the_site_says_what_its_total_is():
    lines = [{"id": "1", "display_status": "COMPLETED"}, {"id": "2", "display_status": "CANCELLED"}]
    (item,) = parse(order(line_items=lines))
    assert (item.code, item.fault) == ("partly-cancelled", True)
    assert "totals_without_cancelled" in item.reason
    (sale,) = documents_of(parse(order(line_items=lines), totals_without_cancelled=True))
    assert str(sale.total_amount) == "20.50"
    for whole in ([lines[0]], [lines[1]], [{"id": "3"}], []):  # the status of the order alone tells what all of it is
        assert len(documents_of(parse(order(line_items=whole)))) == 1
    (item,) = parse(order(line_items=lines, status="CANCELLED"))
    assert (item.code, item.fault) == ("cancelled", False)
