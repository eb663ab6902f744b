"""SAP: the traps of its documents, beyond what the goldens show."""

import json
from decimal import Decimal

import pytest

from agent.adapters import registry
from agent.adapters.base import Found, Site, Skipped
from agent.errors import ConfigError

STORES = {"1710": "st_1710", "1711": "st_1711", "UVE": "st_uve", "4010": "st_4010", "101": "st_101"}
SITE = Site("EUR", stores=STORES)
ITEM = {"BillingDocument": "90000001", "BillingDocumentItem": "10", "SalesDocument": "0000000501"}
INVOICE = {
    "BillingDocument": "90000001",
    "BillingDocumentType": "F2",
    "SDDocumentCategory": "M",
    "BillingDocumentDate": "/Date(1773446400000)/",
    "BillingDocumentIsCancelled": False,
    "TotalNetAmount": "100.00",
    "TaxAmount": "19.00",
    "TotalGrossAmount": "119.00",
    "TransactionCurrency": "EUR",
    "SoldToParty": "0000004502",
    "to_Item": {"results": [ITEM]},
}
ORDER = {
    "SalesOrder": "0000000501",
    "SalesOrderDate": "2026-03-14",
    "TotalNetAmount": "100.00",
    "TransactionCurrency": "EUR",
    "SoldToParty": "4502",
    "OverallSDProcessStatus": "C",
    "OverallSDDocumentRejectionSts": "A",
    "to_Item": [{"SalesOrder": "501", "SalesOrderItem": "10", "NetAmount": "100.00", "TaxAmount": "19.00"}],
}
RETURN = {
    "CustomerReturn": "60000001",
    "TotalNetAmount": "50.00",
    "TransactionCurrency": "EUR",
    "SoldToParty": "4502",
    "ReferenceSDDocument": "501",
    "ReferenceSDDocumentCategory": "C",
    "OverallSDProcessStatus": "C",
    "OverallSDDocumentRejectionSts": "A",
}
CREDIT = {
    **{name: value for name, value in RETURN.items() if name != "CustomerReturn"},
    "CreditMemoRequest": "70000001",
    "ReferenceSDDocument": "0060000001",
    "ReferenceSDDocumentCategory": "H",
}


def read(document, site=SITE, **options):
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    if b"WPUBON" in raw:
        options = {"award": "receipts", **options}
    return registry.adapter("sap").parse(raw, registry.options_of("sap", options), site)


def sent(document, site=SITE, **options):
    items = read(document, site, **options)
    assert all(isinstance(item, Found) for item in items), items
    return [item.document.sent() for item in items]


def codes(document, **options):
    return [item.code for item in read(document, **options) if isinstance(item, Skipped)]


@pytest.mark.parametrize(
    "wrapped",
    [
        {"d": {"results": [INVOICE]}},
        {"d": INVOICE},
        INVOICE,
        [INVOICE],
        [{"d": {"results": [INVOICE]}}],
        {"message": [INVOICE], "level": "INFO"},
        {"message": INVOICE},
        {"value": [INVOICE]},
    ],
)
def test_whatever_is_wrapped_around_a_record_it_is_the_same_sale(wrapped):
    (sale,) = sent(wrapped)
    assert sale["externalOrderId"] == "sap-501"
    assert sale["customer"] == {"externalId": "4502"}
    assert sale["totalAmount"] == Decimal("119.00")


@pytest.mark.parametrize(
    "date",
    [
        "/Date(1773446400000)/",
        "/Date(1773446400000+0000)/",
        "\\/Date(1773446400000)\\/",
        "2026-03-14T00:00:00",
        "2026-03-14T09:00:00+09:00",
        "20260314",
    ],
)
def test_a_date_in_any_of_its_forms(date):
    assert sent({**INVOICE, "BillingDocumentDate": date})[0]["businessDate"] == "2026-03-14"


@pytest.mark.parametrize("nothing", ["", None, " "])
def test_nothing_is_null_or_an_empty_text(nothing):
    assert "businessDate" not in sent({**INVOICE, "BillingDocumentDate": nothing})[0]
    assert codes({**INVOICE, "SoldToParty": nothing}) == ["no-customer"]
    assert sent({**INVOICE, "CancelledBillingDocument": nothing})


def test_an_order_and_its_invoice_are_one_sale_whichever_earns():
    (billed,), (ordered,) = sent(INVOICE), sent(ORDER, award="order")
    assert billed["externalOrderId"] == ordered["externalOrderId"]
    assert billed["totalAmount"] == ordered["totalAmount"]
    assert codes([INVOICE, ORDER]) == ["not-the-awarding-kind"]
    assert codes([INVOICE, ORDER], award="order") == ["not-the-awarding-kind"]


def test_items_that_lie_beside_their_document_are_its_items():
    header = {**INVOICE, "to_Item": "https://sap.example.test/to_Item"}
    assert codes(header) == ["order-unknown"]
    assert sent([header, ITEM]) == sent(INVOICE)
    assert codes([ITEM]) == ["fragment"]


def test_the_delivery_is_not_the_order():
    item = {"BillingDocument": "90000001", "BillingDocumentItem": "10", "ReferenceSDDocument": "80000000"}
    assert codes({**INVOICE, "to_Item": [item]}) == ["order-unknown"]


def test_an_invoice_of_several_orders_is_a_sale_of_each_by_its_items():
    shares = [("501", "60.00", "11.40"), ("502", "40.00", "7.60")]
    items = [{**ITEM, "SalesDocument": order, "NetAmount": net, "TaxAmount": tax} for order, net, tax in shares]
    found = sent({**INVOICE, "to_Item": items})
    assert [(sale["externalOrderId"], sale["totalAmount"]) for sale in found] == [
        ("sap-501", Decimal("71.40")),
        ("sap-502", Decimal("47.60")),
    ]
    assert codes({**INVOICE, "to_Item": items, "TotalGrossAmount": "120.00", "TaxAmount": "20.00"}) == [
        "shares-unknown"
    ]


def test_a_second_invoice_of_an_order_is_seen_and_the_first_counts():
    second = {**INVOICE, "BillingDocument": "90000002"}
    assert [isinstance(item, Found) for item in read([INVOICE, second])] == [True, False]
    assert codes([INVOICE, second]) == ["second-invoice"]
    assert len(sent([INVOICE, INVOICE])) == 2  # the same one twice counts once, behind the adapter


def test_the_basis_is_one_for_all():
    assert sent(INVOICE, basis="net")[0]["totalAmount"] == Decimal("100.00")
    assert sent(ORDER, basis="net", award="order")[0]["totalAmount"] == Decimal("100.00")
    assert sent(RETURN, basis="net")[0]["amount"] == Decimal("50.00")
    assert codes(RETURN) == ["tax-unknown"]


def test_tax_is_found_in_price_elements_that_count():
    def element(category, amount, **more):
        return {"ConditionType": "X", "ConditionCategory": category, "ConditionAmount": amount, **more}

    elements = [
        element("", "50.00"),
        element("D", "9.50"),
        element("D", "1.00", ConditionInactiveReason="A"),
        element("D", "1.00", ConditionIsForStatistics=True),
    ]
    item = {"CustomerReturn": "60000001", "CustomerReturnItem": "10", "NetAmount": "50.00"}
    assert sent({**RETURN, "to_Item": [{**item, "to_PricingElement": elements}]})[0]["amount"] == Decimal("59.50")
    assert sent({**RETURN, "to_Item": [{**item, "TaxAmount": "0.00"}]})[0]["amount"] == Decimal("50.00")


def test_sub_items_of_zero_change_nothing():
    main = {"CustomerReturn": "60000001", "CustomerReturnItem": "10", "NetAmount": "50.00", "TaxAmount": "9.50"}
    main |= {"ReferenceSDDocument": "501", "ReferenceSDDocumentCategory": "C"}
    below = {"CustomerReturn": "60000001", "CustomerReturnItem": "20", "NetAmount": "0.00", "HigherLevelItem": "10"}
    assert sent({**RETURN, "to_Item": [main, below]}) == sent({**RETURN, "to_Item": [main]})
    paid = {**below, "NetAmount": "5.00", "TaxAmount": "0.00"}
    assert codes({**RETURN, "to_Item": [main, paid]}) == ["return-without-sale"]


def test_rejected_items_are_in_no_total():
    kept = {"SalesOrder": "501", "SalesOrderItem": "10", "NetAmount": "100.00", "TaxAmount": "19.00"}
    rejected = {**kept, "SalesOrderItem": "20", "SalesDocumentRjcnReason": "62"}
    partly = {**ORDER, "OverallSDDocumentRejectionSts": "B", "to_Item": [kept, rejected]}
    assert codes(partly, award="order") == ["rejected"]
    (sale,) = sent(partly, award="order", rejection_statuses=["A", "B"])
    assert sale["totalAmount"] == Decimal("119.00")


def test_items_that_do_not_say_the_kind_of_their_reference_have_the_headers():
    item = {"CreditMemoRequest": "70000001", "CreditMemoRequestItem": "10", "ReferenceSDDocument": "60000001"}
    credit = {**CREDIT, "to_Item": [{**item, "NetAmount": "50.00"}]}
    assert [refund["refundId"] for refund in sent([RETURN, credit], basis="net")] == ["sap-60000001"] * 2


def test_a_credit_walks_over_its_return_to_the_order_and_is_the_same_refund():
    returned, credited = sent([RETURN, CREDIT], basis="net")
    assert (credited["externalOrderId"], credited["refundId"]) == ("sap-501", "sap-60000001")
    assert (returned["externalOrderId"], returned["refundId"]) == ("sap-501", "sap-60000001")
    assert codes(CREDIT, basis="net") == ["return-not-here"]


def test_where_only_credits_count_each_has_its_own_number():
    found = [item.document for item in read([RETURN, CREDIT], basis="net", refund="credit") if isinstance(item, Found)]
    assert [refund.refund_id for refund in found] == ["sap-70000001"]
    assert codes([RETURN, CREDIT], basis="net", refund="credit") == ["not-the-refunding-kind"]


def test_a_return_of_which_nothing_is_told_is_for_a_person():
    """Its items may name the order: without them it looked like a return without a sale, and the points stayed."""
    silent = {name: value for name, value in RETURN.items() if not name.startswith("Reference")}
    (item,) = read({**silent, "to_Item": {"__deferred": {"uri": "…"}}}, basis="net")
    assert (item.code, item.fault) == ("items-not-here", True)
    unlinked = {"CustomerReturn": "60000001", "CustomerReturnItem": "10", "NetAmount": "50.00"}
    (item,) = read({**silent, "to_Item": [unlinked]}, basis="net")
    assert (item.code, item.fault) == ("return-without-sale", False)


def test_the_services_of_odata_v4_are_read_with_their_own_names_of_lists():
    taxed = {"_PricingElement": [{"ConditionCategory": "D", "ConditionAmount": 19.0}]}
    item = {"SalesOrder": "501", "SalesOrderItem": "10", "NetAmount": 100.0, **taxed}
    order = {name: value for name, value in ORDER.items() if name != "to_Item"}
    (sale,) = sent({"value": [{**order, "_Item": [item]}]}, award="order")
    assert sale["totalAmount"] == Decimal("119.0")
    referring = {"CustomerReturn": "60000001", "CustomerReturnItem": "10", "NetAmount": 50.0, "TaxAmount": 9.5}
    referring |= {"ReferenceSDDocument": "501", "ReferenceSDDocumentCategory": "C"}
    silent = {name: value for name, value in RETURN.items() if not name.startswith("Reference")}
    (refund,) = sent({"value": [{**silent, "_Item": [referring]}]})
    assert (refund["externalOrderId"], refund["amount"]) == ("sap-501", Decimal("59.5"))
    product = {"Product": "TG11", "_ProductDescription": [{"Language": "EN", "ProductDescription": "Tee"}]}
    (catalog,) = sent({"value": [product]})
    assert catalog["products"] == [{"externalId": "TG11", "title": "Tee"}]


def test_a_return_that_refers_to_itself_ends():
    turning = {**RETURN, "ReferenceSDDocument": "60000001", "ReferenceSDDocumentCategory": "H"}
    assert codes(turning, basis="net") == ["reference-unknown"]
    assert codes([turning, CREDIT], basis="net") == ["reference-unknown", "return-without-sale"]


def test_the_order_of_a_refund_is_the_order_of_its_sale():
    assert sent({**RETURN, "ReferenceSDDocument": "0000000501"}, basis="net")[0]["externalOrderId"] == "sap-501"
    assert sent(INVOICE)[0]["externalOrderId"] == "sap-501"


def test_walk_in_customers_are_nobody():
    assert codes(INVOICE, anonymous_customers=["4502"]) == ["no-customer"]
    assert codes(INVOICE, anonymous_customers=["0000004502"]) == ["no-customer"]
    (refund,) = sent(RETURN, basis="net", anonymous_customers=["4502"])
    assert refund["ifKnown"] is True
    assert "ifKnown" not in sent(RETURN, basis="net")[0]


def test_members_have_the_key_that_their_sales_have():
    partner = {"BusinessPartner": "201", "Customer": "0000004502", "BusinessPartnerFullName": "Ada Lovelace"}
    customer = {"Customer": "4502", "CustomerName": "Ada Lovelace"}
    till = receipt(item("-"), payment("+", "9.00"))
    for options in ({}, {"customer_prefix": "ERP-"}):
        key = f"{options.get('customer_prefix', '')}4502"
        assert sent(INVOICE, **options)[0]["customer"] == {"externalId": key}
        assert sent(ORDER, award="order", **options)[0]["customer"] == {"externalId": key}
        assert sent(till, **options)[0]["customer"] == {"externalId": key}
        assert [member["externalId"] for member in sent([partner, customer], **options)] == [key, key]


def test_a_purchase_never_earns_as_a_receipt_and_as_what_sap_makes_of_it():
    till, back = receipt(item("-"), payment("+", "9.00")), receipt(item("+"), payment("-", "9.00"))
    unset = registry.options_of("sap", {})
    for document in (till, back):
        (said,) = registry.adapter("sap").parse(document, unset, SITE)
        assert (said.code, said.fault) == ("not-the-awarding-kind", True)
        assert 'award = "receipts"' in said.reason
        assert "both_earn = true" in said.reason
        for chosen in ("billing", "order"):  # then somebody has thought of it
            (said,) = read(document, award=chosen)
            assert (said.code, said.fault) == ("not-the-awarding-kind", False)
    assert [codes(each, award="receipts") for each in (INVOICE, ORDER, RETURN)] == [["not-the-awarding-kind"]] * 3
    for chosen, document in (("billing", INVOICE), ("order", ORDER)):
        assert sent(document, award=chosen, both_earn=True)[0]["externalOrderId"] == "sap-501"
        assert sent(till, award=chosen, both_earn=True)[0]["externalOrderId"] == "sap-pos-101-02-2026-03-14-4711"
    with pytest.raises(ConfigError, match="say which"):
        registry.options_of("sap", {"award": "receipts", "both_earn": True})


def test_the_store_is_the_plant_the_office_or_the_organization():
    def store(plants, **more):
        items = [{**ITEM, "Plant": plant} for plant in plants]
        return sent({**INVOICE, "to_Item": items, **more})[0].get("storeId")

    assert store(["1710", "1710"], SalesOffice="UVE") == "st_1710"
    assert store(["1710", "1711"], SalesOffice="UVE") == "st_uve"
    assert store(["1720"], SalesOffice="", SalesOrganization="4010") == "st_4010"
    (unknown,) = read({**INVOICE, "to_Item": [{**ITEM, "Plant": "1720"}], "SalesOffice": "UVX"})
    assert (unknown.code, unknown.store) == ("unknown-store", "1720")
    assert "store 1720 (or UVX)" in unknown.reason


def test_one_bad_record_leaves_the_others():
    bad = {**INVOICE, "BillingDocument": "90000002", "TotalNetAmount": "1.000,00"}
    found = read([bad, 7, INVOICE])
    assert [type(item).__name__ for item in found] == ["Skipped", "Skipped", "Found"]
    assert "TotalNetAmount must be a number" in found[0].reason
    assert "1.000,00" not in found[0].reason


def test_a_page_says_that_others_follow():
    page = {"d": {"results": [INVOICE], "__next": "https://sap.example.test/?$skiptoken=1"}}
    assert codes(page) == codes([page]) == ["more-pages"]


def test_products_are_one_catalog_in_the_languages_of_the_site():
    texts = [{"Language": "DE", "ProductDescription": "Rad"}, {"Language": "EN", "ProductDescription": "Bicycle"}]
    product = {"Product": "000000000000000021", "ProductGroup": "L001", "to_Description": {"results": texts}}
    marked = {**product, "Product": "22", "IsMarkedForDeletion": True}
    found = read([product, marked], languages=["de"], product_groups={"L001": "Bicycles"})
    catalog = found[-1].document.sent()
    assert catalog["products"] == [{"externalId": "21", "title": "Rad", "categoryExternalId": "L001"}]
    assert catalog["variants"] == [{"externalId": "21", "productExternalId": "21", "sku": "21"}]
    assert catalog["categories"] == [{"externalId": "L001", "name": "Bicycles"}]
    assert found[0].code == "deleted"
    assert codes({"Product": "23", "to_Description": {"__deferred": {}}}) == ["no-title"]


def receipt(*segments, customer="4502", number="4711", sender="0000000101"):
    control = f"<EDI_DC40><SNDPRN>{sender}</SNDPRN></EDI_DC40>"
    head = f"<KASSID>02</KASSID><VORGDATUM>20260314</VORGDATUM><BONNUMMER>{number}</BONNUMMER>"
    body = f"<E1WPB01>{head}<KUNDNR>{customer}</KUNDNR>{''.join(segments)}</E1WPB01>"
    return f"<WPUBON01><IDOC>{control}{body}</IDOC></WPUBON01>".encode()


def item(sign, **more):
    return f"<E1WPB02><VORZEICHEN>{sign}</VORZEICHEN>{tags(more)}</E1WPB02>"


def payment(sign, amount, **more):
    return f"<E1WPB06><VORZEICHEN>{sign}</VORZEICHEN><SUMME>{amount}</SUMME>{tags(more)}</E1WPB06>"


def tags(fields):
    return "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())


@pytest.mark.parametrize("taken", ["+", "-", ""])
def test_a_receipt_is_what_was_paid_whatever_a_sign_of_money_means(taken):
    change = {"+": "-", "-": "+", "": "-"}[taken]
    (sale,) = sent(receipt(item("-"), payment(taken, "50.00"), payment(change, "7.60")))
    assert sale["totalAmount"] == Decimal("42.40")
    assert sale["externalOrderId"] == "sap-pos-101-02-2026-03-14-4711"


def test_the_sign_of_goods_is_set_by_site():
    assert codes(receipt(item("+"), payment("-", "5.00"))) == ["return-without-sale"]
    assert sent(receipt(item("+"), payment("-", "5.00")), sale_sign="+")[0]["totalAmount"] == Decimal("5.00")


def test_an_exchange_needs_the_sign_of_money():
    exchange = receipt(item("-"), item("+"), payment("+", "9.00"))
    assert codes(exchange) == ["sign-unknown"]
    assert sent(exchange, payment_sign="+")[0]["totalAmount"] == Decimal("9.00")
    assert codes(exchange, payment_sign="-") == ["return-without-sale"]
    assert codes(receipt(item("-"), item("+"), payment("+", "0.00")), payment_sign="+") == ["even-exchange"]


def test_goods_and_money_must_agree():
    assert codes(receipt(item("-"), payment("-", "9.00")), payment_sign="+") == ["sign-unknown"]


def test_money_alone_is_no_sale_unless_the_site_says_so():
    paid_in = receipt(payment("+", "100.00"))
    assert codes(paid_in) == codes(paid_in, payment_sign="+") == ["no-items"]
    taken = sent(paid_in, payment_sign="+", receipts_without_items=True)
    assert taken[0]["totalAmount"] == Decimal("100.00")


def test_a_returned_receipt_is_found_where_its_number_is_enough():
    returned = receipt(item("+", REFBONNR="0004700"), payment("-", "5.00"), number="4712")
    assert codes(returned) == ["return-without-sale"]
    (refund,) = sent(returned, receipt_id="{store}-{number}")
    assert (refund["externalOrderId"], refund["refundId"]) == ("sap-pos-101-4700", "sap-pos-101-4712")
    assert sent(receipt(item("-"), payment("+", "9.00"), number="4700"), receipt_id="{store}-{number}")[0][
        "externalOrderId"
    ] == ("sap-pos-101-4700")


def test_the_store_buys_nothing_of_itself():
    assert codes(receipt(item("-"), payment("+", "9.00"), customer="101")) == ["no-customer"]


def test_a_sum_over_currencies_is_none():
    mixed = receipt(item("-"), payment("+", "9.00", WAEHRUNG="EUR"), payment("+", "9.00", WAEHRUNG="USD"))
    assert codes(mixed) == ["unsound"]


@pytest.mark.parametrize("template", ["{date}", "{number}-{cashier}", "{number!r}", "{number:>9}", "{", "{number.x}"])
def test_a_template_that_tells_no_receipts_apart_is_refused(template):
    with pytest.raises(ConfigError, match="receipt_id"):
        registry.options_of("sap", {"receipt_id": template})


def test_receipts_without_items_need_the_sign_of_money():
    with pytest.raises(ConfigError, match="payment_sign"):
        registry.options_of("sap", {"receipts_without_items": True})


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b" \r\n\t", b"\xef\xbb\xbf\n" + b" " * 9000])
def test_the_first_byte_tells_what_it_is(before):
    assert len(sent(before + json.dumps(INVOICE).encode())) == 1
    assert len(sent(before + receipt(item("-"), payment("+", "9.00")))) == 1


def test_what_is_no_currency_is_not_repeated():
    (found,) = read({**INVOICE, "TransactionCurrency": "ada@example.com"})
    assert found.code == "unsound"
    assert "currency must be an ISO 4217 code" in found.reason
    assert "ada" not in found.reason


def test_an_xml_of_another_kind_is_for_a_person():
    (quiet,) = read(b"<WPUBON01><IDOC/></WPUBON01>")
    assert (quiet.code, quiet.fault) == ("nothing-in-it", False)
    (other,) = read(b"<POSLog><Transaction/></POSLog>")
    assert (other.code, other.fault) == ("other-document", True)


def test_the_account_of_everybody_becomes_no_member():
    partner = {"BusinessPartner": "201", "Customer": "0000004502", "BusinessPartnerFullName": "Till 2"}
    customer = {"Customer": "4502", "CustomerName": "Till 2"}
    assert codes([partner, customer], anonymous_customers=["4502"]) == ["anonymous", "anonymous"]
