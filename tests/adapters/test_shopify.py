"""What Shopify's documents hold in store for whoever reads them."""

import json

import pytest

from agent.adapters import registry
from agent.adapters.base import Site, documents_of
from tests.support import agents

OFF = {"native_connector": "off"}
USD = Site("USD")


def parse(document, site=USD, **options):
    adapter = registry.adapter("shopify")
    return adapter.parse(json.dumps(document).encode(), registry.options_of("shopify", OFF | options), site)


def money(shop, customer, code="EUR"):
    return {
        "shop_money": {"amount": shop, "currency_code": "USD"},
        "presentment_money": {"amount": customer, "currency_code": code},
    }


def order(**changes):
    fields = {"id": 450789469, "financial_status": "paid", "total_price": "100.00", "currency": "USD"}
    return {**fields, "email": "ada@example.com", "refunds": [], **changes}


def refund(**changes):
    paid = {"kind": "refund", "status": "success", "amount": "25.00", "currency": "USD", "test": False}
    return {"id": 509562969, "order_id": 450789469, "refund_line_items": [], "transactions": [paid], **changes}


def foreign(amount, **changes):
    """A refund paid in the customer's currency."""
    paid = {"kind": "refund", "status": "success", "amount": amount, "currency": "EUR"}
    return refund(transactions=[paid], **changes)


def codes(items):
    return [getattr(item, "code", type(getattr(item, "document", None)).__name__) for item in items]


def test_the_keys_are_those_that_flash_promises_and_stand_in_a_path():
    (sale,) = parse(order())
    assert sale.document.external_order_id == "shopify-order:450789469"
    assert sale.key == "shopify-order:gid://shopify/Order/450789469"


def test_the_original_total_earns_and_each_refund_takes_back_once():
    changed = order(financial_status="partially_refunded", current_total_price="75.00", refunds=[refund()])
    sale, inside = documents_of(parse({"orders": [changed]}))
    assert str(sale.total_amount) == "100.00"
    (webhook,) = documents_of(parse(refund()))
    (listed,) = documents_of(parse({"refunds": [refund()]}))
    for found in (webhook, listed):
        assert (found.external_order_id, found.refund_id, found.amount) == (
            inside.external_order_id, inside.refund_id, inside.amount,
        )  # fmt: skip
    assert (inside.if_known, webhook.if_known) == (False, True)


@pytest.mark.parametrize("status", ["pending", "authorized", "partially_paid", "voided", "expired", "whatever"])
def test_what_is_not_paid_earns_nothing_and_its_refunds_wait(status):
    assert codes(parse(order(financial_status=status, refunds=[refund()]))) == ["not-paid"]


@pytest.mark.parametrize("closed", [{"financial_status": "refunded"}, {"cancelled_at": "2026-11-20T10:00:00-05:00"}])
def test_what_is_undone_earns_nothing_and_loses_what_it_had_earned(closed):
    skipped, back = parse(order(refunds=[refund()], **closed))
    assert skipped.fault is False
    assert back.document.if_known is True


@pytest.mark.parametrize(
    "tested",
    [
        {"test": True},
        {"transactions": [{"kind": "sale", "status": "success", "test": True}]},
        {"refunds": [refund(transactions=[{"kind": "refund", "status": "success", "amount": "1", "test": True}])]},
    ],
)
def test_a_test_earns_nothing_wherever_it_says_so(tested):
    assert codes(parse(order(**tested))) == ["test"]


def test_the_ledger_is_in_the_shops_currency():
    total = money("108.20", "100.00")
    (sale,) = documents_of(parse(order(total_price_set=total, total_price="100.00", presentment_currency="EUR")))
    assert (str(sale.total_amount), sale.currency) == ("108.20", "USD")
    (skipped,) = parse(order(total_price_set=total), Site("EUR"))
    assert skipped.code == "foreign-currency"


LINE = {"subtotal_set": money("10.82", "10.00"), "total_tax_set": money("2.16", "2.00")}
SHIPPING = {"kind": "shipping_refund", "amount_set": money("-4.87", "-4.50"), "tax_amount_set": money("0.00", "0.00")}
SHIPPED = {"subtotal_amount_set": money("4.87", "4.50")}


@pytest.mark.parametrize(
    ("paid", "parts", "amount"),
    [
        ("16.50", {"order_adjustments": [SHIPPING], "refund_shipping_lines": [SHIPPED]}, "17.85"),
        ("16.50", {"order_adjustments": [], "refund_shipping_lines": [SHIPPED]}, "17.85"),
        ("16.50", {"order_adjustments": [SHIPPING], "refund_shipping_lines": []}, "17.85"),
        ("12.00", {}, "12.98"),
        ("10.00", {}, "10.82"),  # prices that include the tax
        ("13.00", {"total_duties_set": money("1.08", "1.00")}, "14.06"),
    ],
)
def test_a_refund_in_the_customers_currency_is_the_sum_of_its_parts_in_the_shops(paid, parts, amount):
    (found,) = documents_of(parse(foreign(paid, refund_line_items=[LINE], **parts)))
    assert (str(found.amount), found.currency) == (amount, "USD")


def test_parts_that_are_not_what_was_paid_are_for_a_person():
    (skipped,) = parse(foreign("7.00", refund_line_items=[LINE]))
    assert (skipped.code, skipped.fault) == ("amount-unclear", True)


def test_lines_without_money_take_nothing_back():
    discrepancy = {"kind": "refund_discrepancy", "amount_set": money("10.82", "10.00")}
    assert codes(parse(refund(transactions=[], refund_line_items=[LINE]))) == ["nothing-refunded"]
    assert codes(parse(foreign("0.00", refund_line_items=[LINE], order_adjustments=[discrepancy]))) != ["Refund"]


def test_a_refund_under_way_waits_for_one_amount():
    half = [
        {"kind": "refund", "status": status, "amount": "5.00", "currency": "USD"} for status in ("success", "pending")
    ]
    assert codes(parse(refund(transactions=half))) == ["refund-pending"]


def test_a_fault_in_one_refund_stops_no_other():
    bad = refund(id="one", transactions=[])
    worse = refund(id="../../members")
    items = parse(order(financial_status="partially_refunded", refunds=[bad, worse, refund()]))
    assert codes(items) == ["Sale", "nothing-refunded", "unsound", "Refund"]


@pytest.mark.parametrize("content", [{"nodes": [1]}, {"edges": {"node": 1}}, None, "x"])
def test_a_connection_that_is_none_ends(content):
    """Found by random structures: it was opened again and again."""
    record = {"id": "gid://shopify/Order/5", "displayFinancialStatus": "PENDING", "refunds": {"nodes": content}}
    assert codes(parse({"data": {"order": record}})) == ["not-paid"]


def test_what_staff_noted_goes_nowhere():
    items = parse(refund(note="Mrs Example called"))
    assert "Example" not in json.dumps([item.document.sent() for item in items], default=str) + repr(items)


def test_oversold_stock_is_none_and_uncounted_stock_is_not_told():
    def level(place, available):
        return {"location": {"id": place}, "quantities": [{"name": "available", "quantity": available}]}

    levels = {"inventory_levels": [level("1", 7), level("2", -2)]}
    variants = [
        {"id": 11, "sku": "COAT-S", "price": "240.00", "inventory_item": levels},
        {"id": 12, "sku": "COAT-M", "price": "240.00", "inventory_quantity": -3, "inventory_management": "shopify"},
        {"id": 13, "sku": "GIFT", "price": "10.00", "inventory_quantity": 0, "inventory_management": None},
    ]
    product = {"id": 1, "title": "Coat", "vendor": "Aurelia", "product_type": "", "body_html": "", "variants": variants}
    bad = {"id": 2, "title": "Broken", "body_html": "", "variants": [{"id": 21, "price": "dear"}]}
    skipped, found = parse({"products": [product, bad, {**product, "id": 3, "variants": []}]})
    assert (skipped.code, skipped.place) == ("unsound", "product 2")
    assert [(row["variantSku"], row["locationRef"], row["available"]) for row in found.document.inventory] == [
        ("COAT-S", "1", 7),
        ("COAT-S", "2", 0),
        ("COAT-M", "shopify", 0),
    ]
    assert [row["externalId"] for row in found.document.products] == ["1", "3"]
    assert found.document.brands == [{"externalId": "Aurelia", "name": "Aurelia"}]
    assert not found.document.categories


async def test_an_order_lives_its_life_document_by_document(tmp_path):
    with agents.strict_flash() as flash:
        chosen = agents.settings(flash.base_url, adapters={"shopify": OFF})
        async with agents.running(tmp_path, chosen) as register:

            async def post(document):
                raw = json.dumps(document).encode()
                answer = await register.call("POST", "/v1/documents/shopify", raw=raw, Content_Type="application/json")
                found = [item["operation"]["id"] for item in answer.json["items"] if item["operation"]]
                return [(await register.settled(each))["status"] for each in found]

            assert await post(order()) == ["succeeded"]
            assert await post(order()) == ["succeeded"]
            assert await post(refund()) == ["succeeded"]
            rest = refund(id=2, transactions=[refund()["transactions"][0] | {"amount": "75.00"}])
            assert await post(order(financial_status="refunded", refunds=[refund(), rest])) == [
                "succeeded",
                "succeeded",
            ]
            never_awarded = order(id=7, financial_status="refunded", refunds=[refund(id=3, order_id=7)])
            assert await post(never_awarded) == ["declined"]
        assert flash.doubles() == {}
