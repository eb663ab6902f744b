"""IBM Sterling: the traps of its documents, beyond what the goldens show."""

import json
from decimal import Decimal

import pytest

from agent.adapters import registry
from agent.adapters.base import Found, Site, Skipped
from agent.errors import ConfigError

SITE = Site("USD", stores={"STORE_7": "st_7", "SHOP_US": "st_web"})
ORDER = {
    "EnterpriseCode": "SHOP_US",
    "DocumentType": "0001",
    "OrderNo": "Y1001",
    "OrderDate": "2026-03-14T09:26:53+00:00",
    "CustomerEMailID": "ADA@EXAMPLE.COM",
    "BillToID": "100000258",
    "MinOrderStatus": "3700",
    "MaxOrderStatus": "3700",
    "PriceInfo": {"Currency": "USD", "TotalAmount": "249.00"},
}


def line(total, derived_from="Y1001", **more):
    derived = {} if derived_from is None else {"DerivedFrom": {"OrderNo": derived_from}}
    return {"LinePriceInfo": {"LineTotal": total}, **derived, **more}


def returned(*lines, **more):
    fields = {**ORDER, "DocumentType": "0003", "OrderNo": "R1", "MinOrderStatus": "3950", "MaxOrderStatus": "3950.01"}
    return {**fields, "OrderLines": {"OrderLine": list(lines)}, **more}


def read(document, **options):
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    return registry.adapter("sterling").parse(raw, registry.options_of("sterling", options), SITE)


def sent(document, **options):
    items = read(document, **options)
    assert all(isinstance(item, Found) for item in items), items
    return [item.document.sent() for item in items]


def codes(document, **options):
    return [item.code for item in read(document, **options) if isinstance(item, Skipped)]


def at(least, furthest=None, **more):
    return {**ORDER, "MinOrderStatus": least, "MaxOrderStatus": furthest or least, **more}


@pytest.mark.parametrize(
    "wrapped",
    [
        ORDER,
        [ORDER],
        {"Order": ORDER},
        {"Order": [ORDER], "LastRecordSet": "Y"},
        {"OrderList": {"Order": [ORDER]}},
        {"Output": {"OrderList": {"Order": [ORDER]}}},
        {"Output": {"Order": ORDER}},
    ],
)
def test_whatever_is_wrapped_around_an_order_it_is_the_same_sale(wrapped):
    (sale,) = sent(wrapped)
    assert sale["externalOrderId"] == "sterling-SHOP_US-0001-Y1001"
    assert sale["totalAmount"] == Decimal("249.00")
    assert sale["customer"] == {"email": "ada@example.com"}


def test_xml_and_json_are_the_same_sale():
    xml = (
        b'<x:OrderList xmlns:x="urn:x"><x:Order EnterpriseCode="SHOP_US" DocumentType="0001" OrderNo="Y1001" '
        b'OrderDate="2026-03-14T09:26:53+00:00" CustomerEMailID="ADA@EXAMPLE.COM" BillToID="100000258" '
        b'MinOrderStatus="3700" MaxOrderStatus="3700"><x:PriceInfo Currency="USD" TotalAmount="249.00"/></x:Order>'
        b"</x:OrderList>"
    )
    assert sent(xml) == sent(ORDER)


@pytest.mark.parametrize("status", ["3700", "3700.01", "3700.0005", "3700.01.10"])
def test_a_status_earns_with_all_below_it(status):
    assert len(sent(at(status))) == 1


@pytest.mark.parametrize("status", ["37001", "370", "3350", "3701", "3700x", "1100"])
def test_statuses_are_paths_not_numbers(status):
    assert codes(at(status)) == ["not-there-yet"]


def test_a_pipeline_is_a_sites_own():
    assert codes(at("3700"), earning_statuses=["3700.10"]) == ["not-there-yet"]
    assert codes(at("3700.1"), earning_statuses=["3700.10"]) == ["not-there-yet"]
    assert len(sent(at("3700.10.5"), earning_statuses=["3700.10"])) == 1
    assert len(sent(at("3700", "9000"))) == 1  # a line of it was cancelled
    assert codes(at("3350", "9000")) == ["not-there-yet"]
    assert codes(at("9000.01")) == codes(at("8000"), cancelled_statuses=["8000"]) == ["cancelled"]


def test_all_of_an_order_must_stand_there():
    assert codes(at("3350", "3700"), mixed_statuses_earn=True) == ["not-there-yet"]
    assert codes(at("3700.0005", "3700.03")) == ["not-there-yet"]
    assert len(sent(at("3700.0005", "3700.03"), mixed_statuses_earn=True)) == 1


def test_one_end_alone_says_nothing():
    assert codes({**at("3700"), "MinOrderStatus": ""}) == ["status-unknown"]
    assert codes({**at("3700"), "MaxOrderStatus": None}) == ["status-unknown"]


def test_lines_say_where_an_order_stands_that_does_not():
    def by_lines(*statuses):
        lines = [{"OrderStatuses": {"OrderStatus": [{"Status": status}]}} for status in statuses]
        return {**ORDER, "MinOrderStatus": "", "MaxOrderStatus": "", "OrderLines": {"OrderLine": lines}}

    assert len(sent(by_lines("3700", "3700"))) == 1
    assert len(sent(by_lines("3700", "9000"))) == 1
    assert codes(by_lines("3700", "1100")) == ["not-there-yet"]
    assert codes(by_lines("9000", "9000")) == ["cancelled"]


@pytest.mark.parametrize(("flag", "code"), [("DraftOrderFlag", "draft"), ("HoldFlag", "on-hold")])
def test_drafts_and_held_orders_wait(flag, code):
    assert codes({**ORDER, flag: "Y"}) == [code]
    assert len(sent({**ORDER, flag: "N"})) == 1
    assert len(sent({**ORDER, flag: ""})) == 1


def test_the_total_is_the_orders_own():
    lines = {"OrderLine": [{"LinePriceInfo": {"LineTotal": "1.00"}}]}
    totals = {"GrandTotal": "77.00"}
    assert sent({**ORDER, "OrderLines": lines, "OverallTotals": totals})[0]["totalAmount"] == Decimal("249.00")
    no_price = {**ORDER, "PriceInfo": {"Currency": "USD"}, "OrderLines": lines}
    assert sent({**no_price, "OverallTotals": totals})[0]["totalAmount"] == Decimal("77.00")
    assert codes(no_price) == ["unsound"]


def test_a_customer_has_the_first_key_that_is_there():
    assert sent(ORDER, customer_keys=["bill_to_id", "email"])[0]["customer"] == {"externalId": "100000258"}
    assert sent({**ORDER, "CustomerEMailID": ""})[0]["customer"] == {"externalId": "100000258"}
    prefixed = sent({**ORDER, "CustomerEMailID": ""}, customer_prefix="ERP-")
    assert prefixed[0]["customer"] == {"externalId": "ERP-100000258"}
    assert codes({**ORDER, "CustomerEMailID": ""}, customer_keys=["email"]) == ["no-customer"]
    with pytest.raises(ConfigError, match="customer_keys"):
        registry.options_of("sterling", {"customer_keys": []})


def test_the_same_number_of_two_enterprises_is_two_orders():
    first, second = sent([ORDER, {**ORDER, "EnterpriseCode": "SHOP_SG"}])
    assert first["externalOrderId"] != second["externalOrderId"]
    assert codes({**ORDER, "EnterpriseCode": None}) == ["unsound"]
    assert sent({**ORDER, "EnterpriseCode": None}, enterprise_code="SHOP_US") == sent(ORDER)


def test_a_return_is_a_refund_of_each_order_by_its_lines_never_of_the_header():
    document = returned(line("20.00"), line("5.50", "Y1002"), line("10.00"), PriceInfo={"TotalAmount": "99.99"})
    found = sent(document)
    assert [(refund["externalOrderId"], refund["amount"]) for refund in found] == [
        ("sterling-SHOP_US-0001-Y1001", Decimal("30.00")),
        ("sterling-SHOP_US-0001-Y1002", Decimal("5.50")),
    ]
    assert len({refund["refundId"] for refund in found}) == 2
    assert all("-0003-R1-" in refund["refundId"] for refund in found)


def test_a_refund_has_its_sales_id():
    assert sent(returned(line("20.00")))[0]["externalOrderId"] == sent(ORDER)[0]["externalOrderId"]
    abroad = line("20.00", DerivedFrom={"OrderNo": "Y1001", "EnterpriseCode": "SHOP_SG", "DocumentType": "0001"})
    assert sent(returned(abroad))[0]["externalOrderId"] == "sterling-SHOP_SG-0001-Y1001"


def test_lines_without_a_sale_are_said_and_the_others_count():
    found = read(returned(line("20.00"), line("7.00", None)))
    assert [type(item).__name__ for item in found] == ["Skipped", "Found"]
    assert found[1].document.amount == Decimal("20.00")
    of_another_kind = line("7.00", DerivedFrom={"OrderNo": "P1", "DocumentType": "0005"})
    assert codes(returned(of_another_kind)) == ["return-without-sale"]


def test_cancelled_lines_give_nothing_back():
    cancelled = line("7.00", OrderStatuses={"OrderStatus": {"Status": "9000.01"}})
    assert sent(returned(line("20.00"), cancelled))[0]["amount"] == Decimal("20.00")
    assert codes(returned(cancelled)) == ["no-lines"]


def test_a_return_counts_when_all_of_it_is_closed():
    assert codes(returned(line("20.00"), MinOrderStatus="1100")) == ["not-there-yet"]
    only_invoiced = {"refunding_statuses": ["3950.01"]}
    assert codes(returned(line("20.00")), **only_invoiced) == ["not-there-yet"]
    assert len(sent(returned(line("20.00"), MinOrderStatus="3950.01"), **only_invoiced)) == 1


def test_a_return_without_a_customer_need_not_have_been_a_members():
    assert sent(returned(line("20.00"), CustomerEMailID="", BillToID=""))[0]["ifKnown"] is True
    assert "ifKnown" not in sent(returned(line("20.00")))[0]


def test_the_store_is_the_node_of_all_lines_or_the_seller():
    def store(*nodes):
        lines = {"OrderLine": [{"ShipNode": node} for node in nodes]}
        return sent({**ORDER, "SellerOrganizationCode": "SHOP_US", "OrderLines": lines})[0].get("storeId")

    assert store("STORE_7", "STORE_7") == "st_7"
    assert store("STORE_7", "DC_1") == "st_web"


def test_one_bad_order_leaves_the_others():
    bad = {**ORDER, "OrderNo": "Y9", "PriceInfo": {"TotalAmount": "1,249.00"}}
    found = read([bad, ORDER])
    assert [type(item).__name__ for item in found] == ["Skipped", "Found"]
    assert "TotalAmount must be a number" in found[0].reason
    assert "1,249" not in found[0].reason


def test_a_page_says_that_others_follow_and_an_empty_one_that_it_is_empty():
    assert codes({"Order": [ORDER], "LastRecordSet": "N"}) == ["more-pages"]
    assert codes({"TotalOrderList": "0"}) == ["nothing-in-it"]
    assert codes({"OrderList": {"TotalOrderList": "0"}}) == ["nothing-in-it"]


def test_a_guest_account_is_nobody():
    nobody = {"anonymous_customers": ["ada@example.com"]}
    assert [each["customer"] for each in sent(ORDER, **nobody)] == [{"externalId": "100000258"}]
    nobody = {"anonymous_customers": ["ada@example.com", "0100000258"]}
    assert codes(ORDER, **nobody) == ["no-customer"]
    assert [each["ifKnown"] for each in sent(returned(line("5.00")), **nobody)] == [True]
