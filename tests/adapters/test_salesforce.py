"""Salesforce: what its records come to. Goldens hold the usual; here are the traps."""

import pytest

from agent.adapters.salesforce.ids import id18
from tests.adapters.parsing import codes, found, items_of

ORDER, ORDER_18 = "801Dn0000000201", "801Dn0000000201IAA"
SUMMARY, SUMMARY_18 = "1OsDn0000000101", "1OsDn0000000101KAA"
ACCOUNT_18 = "001Dn0000000017IAA"
CONTACT_18 = "003Dn0000000017IAA"


def record(kind, **fields):
    return {"attributes": {"type": kind}, **fields}


def order(**fields):
    own = {"Id": ORDER, "OrderNumber": "00000201", "Status": "Activated", "TotalAmount": 120, "AccountId": ACCOUNT_18}
    return record("Order", **{**own, **fields})


def summary(**fields):
    own = {"Id": SUMMARY, "OrderNumber": "00000101", "Status": "Fulfilled", "GrandTotalAmount": 240.5}
    return record("OrderSummary", **{**own, "AccountId": ACCOUNT_18, **fields})


def back(**fields):
    own = {"Id": "0tEDn0000000001", "Status": "Closed", "GrandTotalAmount": 20, "AccountId": ACCOUNT_18}
    return record("ReturnOrder", **{**own, **fields})


def memo(**fields):
    own = {"Id": "50gDn0000000001", "Status": "Posted", "TotalAmountWithTax": 12, "BillingAccountId": ACCOUNT_18}
    return record("CreditMemo", **{**own, **fields})


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("001A0000006Vm9r", "001A0000006Vm9rIAC"),
        (ORDER, ORDER_18),
        ("aaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaAAA"),
        ("AAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAA555"),
    ],
)
def test_an_id_has_one_spelling(short, long):
    assert id18(short) == id18(long) == long


@pytest.mark.parametrize("value", [None, 7, "", "@{refOrder.id}", "${ID}", "1OsxxxxxxxxxxxxxxX1", "801Dn000000020"])
def test_what_is_no_id_is_none(value):
    assert id18(value) is None


def test_ids_that_differ_in_case_alone_stay_apart():
    assert id18("801Dn00000002aB") != id18("801Dn00000002Ab")


@pytest.mark.parametrize("spelled", [ORDER, ORDER_18])
@pytest.mark.parametrize("named", [{"OrderId": ORDER}, {"OrderId": ORDER_18}, {"Order": {"Id": ORDER}}])
def test_a_return_names_its_order_as_the_order_does(spelled, named):
    sale, refund = found("salesforce", [order(Id=spelled), back(**named)])
    assert sale["externalOrderId"] == refund["externalOrderId"] == f"salesforce-{ORDER_18}"


def test_the_address_of_a_record_is_its_id_where_the_query_left_that_out():
    document = order(Id=None, attributes={"type": "Order", "url": f"/services/data/v62.0/sobjects/Order/{ORDER_18}"})
    (sale,) = found("salesforce", document)
    assert sale["externalOrderId"] == f"salesforce-{ORDER_18}"


def test_by_number_a_return_needs_its_orders_number():
    options = {"order_id": "number"}
    sale, refund = found("salesforce", [order(), back(OrderId=ORDER)], **options)
    assert sale["externalOrderId"] == refund["externalOrderId"] == "salesforce-00000201"
    related = {"attributes": {"type": "Order"}, "Id": ORDER_18, "OrderNumber": "00000201"}
    (refund,) = found("salesforce", back(OrderId=ORDER, Order=related), **options)
    assert refund["externalOrderId"] == "salesforce-00000201"
    assert codes("salesforce", back(OrderId=ORDER), **options) == ["number-not-in-document!"]


@pytest.mark.parametrize(
    "fields",
    [
        {"OriginalOrderId": "801Dn0000000200"},
        {"OriginalOrder": {"Id": "801Dn0000000200"}},
        {"RelatedOrderId": "801Dn0000000200"},
        {"IsReductionOrder": True},
        {"Type": "change order"},
        {"RecordType": {"Name": "Change Order"}},
        {"TotalAmount": -20},
        {"TotalAmount": 0, "GrandTotalAmount": "-2.00"},
    ],
)
def test_what_amends_an_order_is_none(fields):
    assert codes("salesforce", order(**fields)) == ["change-order"]


def test_an_org_names_its_own_change_orders():
    assert codes("salesforce", order(Type="Amendment")) == ["sale"]
    assert codes("salesforce", order(Type="Amendment"), change_order_types=["Amendment"]) == ["change-order"]


def test_an_order_and_its_summary_never_both_earn():
    both = [order(), summary()]
    assert codes("salesforce", both) == ["counted-as-summary", "sale"]
    assert codes("salesforce", both, sales_from="orders") == ["sale", "counted-as-order"]
    assert codes("salesforce", order(), sales_from="order-summaries") == ["counted-as-summary"]


def test_a_return_and_its_credit_memo_never_both_give_back():
    both = [back(OrderSummaryId=SUMMARY), memo(ReferenceEntityId=SUMMARY)]
    assert codes("salesforce", both) == ["refund", "counted-as-return"]
    assert codes("salesforce", both, refunds_from="credit-memos") == ["counted-as-credit", "refund"]
    assert codes("salesforce", both, refunds_from="both") == ["refund", "refund"]
    assert codes("salesforce", both[1]) == ["refund"]
    assert codes("salesforce", both[1], refunds_from="return-orders") == ["counted-as-return"]


def test_a_summary_that_a_return_has_shrunk_is_not_awarded_by_what_is_left():
    shrunk = summary(GrandTotalAmount=220.5)
    assert codes("salesforce", [shrunk, back(OrderSummaryId=SUMMARY_18)]) == ["total-after-return!", "refund"]
    assert codes("salesforce", [shrunk, back(OrderSummaryId=SUMMARY, Status="Submitted")]) == ["sale", "status"]
    stays = {**shrunk, "OriginalOrder": {"GrandTotalAmount": 240.5}}
    totals = ["OriginalOrder.GrandTotalAmount", "GrandTotalAmount"]
    sale, _ = found("salesforce", [stays, back(OrderSummaryId=SUMMARY)], order_summary_totals=totals)
    assert sale["totalAmount"] == 240.5
    fallen_back = codes("salesforce", [shrunk, back(OrderSummaryId=SUMMARY)], order_summary_totals=totals)
    assert fallen_back == ["total-after-return!", "refund"]


def test_a_credit_memo_is_walked_to_its_order():
    through_return = [memo(ReferenceEntityId="0tEDn0000000001"), back(OrderSummaryId=SUMMARY)]
    (refund, _) = found("salesforce", through_return, refunds_from="both")
    assert refund["externalOrderId"] == f"salesforce-{SUMMARY_18}"
    invoice = record("Invoice", Id="3ttDn0000000001", ReferenceEntityId=SUMMARY)
    assert codes("salesforce", [memo(ReferenceEntityId="3ttDn0000000001"), invoice]) == ["refund", "not-taken"]
    related = {"attributes": {"type": "Invoice"}, "Id": "3ttDn0000000001", "ReferenceEntityId": SUMMARY}
    (refund,) = found("salesforce", memo(ReferenceEntityId="3ttDn0000000001", ReferenceEntity=related))
    assert refund["externalOrderId"] == f"salesforce-{SUMMARY_18}"


def test_a_walk_that_leads_nowhere_is_a_fault_and_ends():
    assert codes("salesforce", memo(ReferenceEntityId="3ttDn0000000009")) == ["order-not-in-document!"]
    ring = record("Invoice", Id="3ttDn0000000001", ReferenceEntityId="3ttDn0000000001")
    ringed = codes("salesforce", [memo(ReferenceEntityId="3ttDn0000000001"), ring])
    assert ringed == ["order-not-in-document!", "not-taken"]
    assert codes("salesforce", memo()) == ["return-without-sale"]


def test_where_orders_earn_a_return_is_led_from_the_summary_to_its_order():
    known = summary(OriginalOrderId=ORDER)
    (refund,) = found("salesforce", [known, back(OrderSummaryId=SUMMARY)], sales_from="orders")
    assert refund["externalOrderId"] == f"salesforce-{ORDER_18}"
    assert codes("salesforce", back(OrderSummaryId=SUMMARY), sales_from="orders") == ["order-not-in-document!"]
    (refund,) = found("salesforce", back(OrderSummaryId=SUMMARY, OrderId=ORDER), sales_from="orders")
    assert refund["externalOrderId"] == f"salesforce-{ORDER_18}"


@pytest.mark.parametrize("money", [64.8, "64.80", "64.8"])
def test_money_is_a_number_or_a_string(money):
    (sale,) = found("salesforce", summary(GrandTotalAmount=money))
    assert sale["totalAmount"] == 64.8


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (order(Status="Draft"), "status"),
        (order(Status=None), "status"),
        (summary(Status="Canceled"), "status"),
        (summary(GrandTotalAmount=None, TotalAmount=200), "unsound!"),  # without tax: no total of a summary
        (summary(GrandTotalAmount="n/a"), "unsound!"),
        (summary(OrderedDate="14 March"), "unsound!"),
        (summary(AccountId=None), "no-customer"),
        (summary(Id=None), "no-id!"),
        (summary(IsDeleted=True), "deleted"),
        (summary(CurrencyIsoCode="EUR"), "foreign-currency!"),
        ({"cartId": "0a6Dn0000000001", "grandTotalAmount": "64.80"}, "cart"),
        (record("OrderItemSummary", Id="10uDn0000000001"), "not-taken"),
        ({"Id": "zzzDn0000000001"}, "unknown-record!"),
        ([{"errorCode": "MALFORMED_QUERY", "message": "x"}], "error-answer!"),
        (back(Status="Submitted", OrderId=ORDER), "status"),
        (back(), "return-without-sale"),
        (back(OrderId=ORDER, GrandTotalAmount=0), "nothing-given-back"),
    ],
)
def test_what_comes_to_nothing(document, code):
    assert codes("salesforce", document) == [code]


def test_statuses_are_an_orgs_own():
    assert codes("salesforce", summary(Status="Delivered"), order_summary_statuses=["delivered"]) == ["sale"]
    assert codes("salesforce", back(Status="Approved", OrderId=ORDER), return_order_statuses=["Approved"]) == ["refund"]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("account", {"externalId": ACCOUNT_18, "email": "ada@example.com"}),
        ("contact", {"externalId": CONTACT_18, "email": "ada@example.com"}),
        ("email", {"email": "ada@example.com"}),
    ],
)
def test_the_site_chooses_by_what_a_customer_is_known(key, expected):
    document = summary(BillToContactId=CONTACT_18[:15], BillingEmailAddress="ada@example.com")
    (sale,) = found("salesforce", document, customer_key=key)
    assert sale["customer"] == expected


def test_members_are_known_as_their_orders_name_them():
    account = record("Account", Id=ACCOUNT_18, Name="Ada", PersonContactId=CONTACT_18, PersonEmail="ada@example.com")
    contact = record("Contact", Id=CONTACT_18, Name="Ada", AccountId=ACCOUNT_18, IsPersonAccount=True)
    both = [account, contact]
    assert codes("salesforce", both) == ["member", "keyed-by-account"]
    assert found("salesforce", both)[0]["externalId"] == ACCOUNT_18
    assert codes("salesforce", both, customer_key="contact") == ["keyed-by-contact", "member"]
    assert found("salesforce", both, customer_key="contact")[0]["externalId"] == CONTACT_18
    assert codes("salesforce", both, customer_key="email") == ["member", "no-email"]
    assert "externalId" not in found("salesforce", both, customer_key="email")[0]


def test_a_template_is_not_taken_for_records():
    account = record("Account", Name="Wheelworks")
    account["attributes"]["referenceId"] = "AccountRef1"
    assert codes("salesforce", {"records": [account]}) == ["to-be-created"]


def test_a_graph_earns_once_it_has_number_status_and_total():
    def graph(**fields):
        party = {"attributes": record("Account", PersonEmail="ada@example.com"), "referenceId": "refAccount"}
        own = record("OrderSummary", OrderNumber="N-1", AccountId="@{refAccount.id}", **fields)
        made = {"purchaseSupportDetails": [party], "purchaseDetails": [{"attributes": own, "referenceId": "refOrder"}]}
        return {"orderSummaryGraphs": [made]}

    assert codes("salesforce", graph()) == ["to-be-created"]
    assert codes("salesforce", graph(), order_id="number") == ["status"]
    (sale,) = found("salesforce", graph(Status="Fulfilled", GrandTotalAmount="9.90"), order_id="number")
    assert (sale["externalOrderId"], sale["customer"]) == ("salesforce-N-1", {"email": "ada@example.com"})


def test_an_offset_without_a_colon_is_a_time():
    (sale,) = found("salesforce", summary(OrderedDate="2026-03-14T17:20:07.000+0000"))
    assert sale["occurredAt"] == "2026-03-14T17:20:07+00:00"


def test_one_unsound_record_takes_no_other_with_it():
    document = {"records": [summary(GrandTotalAmount=[]), summary(), back(OrderId=ORDER, GrandTotalAmount={})]}
    assert codes("salesforce", document) == ["unsound!", "sale", "unsound!"]


def price(amount, **fields):
    own = {"Id": "01uDn0000000001", "Product2Id": "01tDn0000000301", "UnitPrice": amount}
    return record("PricebookEntry", **{**own, **fields})


def product(*prices, **fields):
    own = {"Id": "01tDn0000000301", "Name": "Ring", "StockKeepingUnit": "RING", "PricebookEntries": {"records": prices}}
    return record("Product2", **{**own, **fields})


def test_a_price_is_of_the_standard_book_or_of_the_one_that_was_chosen():
    standard, outlet = {"Name": "Standard", "IsStandard": True}, {"Name": "Outlet", "IsStandard": False}
    both = [product(), price(50, Pricebook2=standard), price(45, Pricebook2=outlet)]
    assert [row["price"] for row in found("salesforce", both)[0]["variants"]] == [50]
    assert codes("salesforce", both, price_book="Outlet") == ["other-price-book", "catalog"]
    (catalog,) = found("salesforce", both, price_book="Outlet")
    assert [row["price"] for row in catalog["variants"]] == [45]
    assert codes("salesforce", product(price(50), price(45))) == ["several-prices!", "catalog"]
    assert codes("salesforce", product(price(50), price(50))) == ["catalog"]


def test_a_price_goes_up_with_its_product_or_not_at_all():
    assert codes("salesforce", price(50)) == ["price-without-product!"]
    assert codes("salesforce", product(price(50), StockKeepingUnit=None)) == ["price-without-product!", "catalog"]
    related = {"Name": "Ring", "ProductCode": "RING"}
    (catalog,) = found("salesforce", price(50, Product2=related))
    assert (catalog["products"][0]["title"], catalog["variants"][0]["price"]) == ("Ring", 50)


def test_a_bad_price_leaves_the_product_and_is_said():
    assert codes("salesforce", product(price("a lot"))) == ["unsound!", "catalog"]
    assert "UnitPrice" in items_of("salesforce", product(price("a lot")))[0].reason
    assert codes("salesforce", [product(Name=None), product(Id="01tDn0000000302")]) == ["unsound!", "catalog"]


def test_a_child_has_from_its_parent_what_only_that_says():
    children = {"records": [back(AccountId=None, Id="0tEDn0000000002")]}
    sale, refund = found("salesforce", order(ReturnOrders=children))
    assert sale["externalOrderId"] == refund["externalOrderId"]
    assert "ifKnown" not in refund
    own = memo(ReferenceEntityId=SUMMARY)
    del own["BillingAccountId"]
    account = record("Account", Id=ACCOUNT_18, Name="Ada", CreditMemos={"records": [own]})
    _, refund = found("salesforce", account)
    assert refund["externalOrderId"] == f"salesforce-{SUMMARY_18}"
    assert "ifKnown" not in refund
