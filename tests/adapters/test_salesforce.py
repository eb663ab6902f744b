"""Salesforce: what its records come to. Goldens hold the usual; here are the traps."""

import pytest

from agent.adapters.salesforce.ids import id18
from tests.adapters.parsing import codes, found, items_of
from tests.adapters.salesforce_records import (
    ACCOUNT_18,
    CONTACT_18,
    MEMOS,
    ORDER,
    ORDER_18,
    ORIGINAL_18,
    SUMMARY,
    TYPED,
    back,
    memo,
    order,
    record,
    summary,
)


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


def test_the_address_of_a_record_is_its_id_where_the_query_left_that_out():
    document = order(Id=None, attributes={"type": "Order", "url": f"/services/data/v62.0/sobjects/Order/{ORDER_18}"})
    (sale,) = found("salesforce", document)
    assert sale["externalOrderId"] == f"salesforce-{ORDER_18}"


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
        (order(Id=None), "no-id!"),
        (summary(AccountId=None, OriginalOrderId=None), "no-customer"),
        (summary(IsDeleted=True), "deleted"),
        (summary(CurrencyIsoCode="EUR"), "foreign-currency!"),
        ({"cartId": "0a6Dn0000000001", "grandTotalAmount": "64.80"}, "cart"),
        (record("OrderItemSummary", Id="10uDn0000000001"), "not-taken"),
        ({"Id": "zzzDn0000000001"}, "unknown-record!"),
        ({"orderNo": "00001", "status": "completed", "orderTotal": 100.0}, "b2c-order!"),  # SCAPI
        ({"order_no": "00001", "status": "completed", "order_total": 100.0}, "b2c-order!"),  # OCAPI
        ([{"errorCode": "MALFORMED_QUERY", "message": "x"}], "error-answer!"),
        (back(Status="Submitted", OrderId=ORDER), "status"),
        (back(), "return-without-sale"),
        (back(OrderId=ORDER, GrandTotalAmount=0), "nothing-refunded"),
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


def test_a_guest_account_is_nobody():
    guest = order(AccountId=ACCOUNT_18, BillingEmailAddress="Guest@example.com")
    assert codes("salesforce", guest) == ["sale"]
    assert codes("salesforce", guest, anonymous_customers=[ACCOUNT_18, "guest@example.com"]) == ["no-customer"]


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
    options = {"order_id": "number", "sales_from": "order-summaries"}
    assert codes("salesforce", graph(), **options) == ["status"]
    (sale,) = found("salesforce", graph(Status="Fulfilled", GrandTotalAmount="9.90"), **options)
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
    own = memo(ReferenceEntityId=SUMMARY, ReferenceEntity=TYPED)
    del own["BillingAccountId"]
    account = record("Account", Id=ACCOUNT_18, Name="Ada", CreditMemos={"records": [own]})
    _, refund = found("salesforce", account, **MEMOS)
    assert refund["externalOrderId"] == f"salesforce-{ORIGINAL_18}"
    assert "ifKnown" not in refund


def test_a_guest_account_becomes_no_member_and_a_shared_address_joins_none():
    guest = record("Account", Id=ACCOUNT_18, Name="Guest", PersonEmail="guest@example.com")
    assert codes("salesforce", guest, anonymous_customers=[ACCOUNT_18]) == ["anonymous"]
    (member,) = found("salesforce", guest, anonymous_customers=["Guest@example.com"])
    assert "email" not in member
