"""POSLog: whose a basket is, where and when it was."""

import pytest

from agent.adapters.base import Found
from tests.adapters.poslog_xml import HEAD, MEMBER, link, only, parse, returned, sold, total, transaction


def account(inside: str) -> str:
    return f"<LoyaltyAccount>{inside}</LoyaltyAccount>"


def customer_id(number: str) -> str:
    return f"<CustomerID>{number}</CustomerID>"


def program(number: str) -> str:
    return f"<LoyaltyProgram><LoyaltyAccountID>{number}</LoyaltyAccountID></LoyaltyProgram>"


def card(number: str) -> str:
    return f"<LoyaltyCard><PrimaryAccountNumber>{number}</PrimaryAccountNumber></LoyaltyCard>"


def membership(number: str, flags: str = "") -> str:
    inside = f"<LoyaltyMembership><MembershipID>{number}</MembershipID></LoyaltyMembership>"
    return f"<LineItem {flags}>{inside}</LineItem>"


def customer(inside: str) -> str:
    return f"<Customer>{inside}</Customer>"


EMAIL = "<Email><EMailAddress>ada@example.com</EMailAddress></Email>"


@pytest.mark.parametrize(
    ("member", "keys"),
    [
        (account(customer_id("C-1")), {"externalId": "C-1"}),
        (account(customer_id("theProgramme") + program("A-1")), {"externalId": "A-1"}),
        (account(card("P-1")), {"externalId": "P-1"}),
        (membership("M-1"), {"externalId": "M-1"}),
        # Kinds of points where others write the account, and the customer beside it.
        (customer(customer_id("C-2")) + account(customer_id("C-2") + program("Points")), {"externalId": "C-2"}),
        (customer(customer_id("C-3")) + account(program("4") + program("10")), {"externalId": "C-3"}),
        (customer(customer_id("") + EMAIL), {"email": "ada@example.com"}),
        (customer(customer_id("C-4") + "<Email>none</Email>"), {"externalId": "C-4"}),
        (account(customer_id("0000000")), None),
        (account(customer_id("null")), None),
        (account(card("****1234")), None),
        (account(card("XXXXXXXXXXXX1234")), None),
        (account(card("1234-xxxx-xxxx-5678")), None),
        (account(customer_id("MAXXX-12")), {"externalId": "MAXXX-12"}),
        (account(customer_id("undefined")) + customer(customer_id("C-5")), {"externalId": "C-5"}),
        (membership("M-1", 'VoidFlag="true"'), None),
        (customer("<CustomerDemographic>02</CustomerDemographic>"), None),
    ],
)
def test_the_member_is_found_wherever_a_till_writes_it(member, keys):
    (item,) = parse(transaction(sold("5.00"), total("5.00"), member=member))
    assert (item.document.customer.sent() if isinstance(item, Found) else item.code) == (keys or "no-customer")


NOBODY = {"anonymous_customers": ["99", "Till@Example.com", "STAFF-1"]}


@pytest.mark.parametrize(
    ("member", "keys"),
    [
        (account(customer_id("STAFF-1")), None),
        (account(customer_id("staff-1")), None),
        (customer(customer_id("0099")), None),
        (customer(customer_id("") + "<Email>till@example.com</Email>"), None),
        (customer(customer_id("99")) + account(customer_id("99") + program("A-1")), {"externalId": "A-1"}),
        (customer(customer_id("99") + EMAIL), {"email": "ada@example.com"}),
        (account(customer_id("STAFF-12")), {"externalId": "STAFF-12"}),
    ],
)
def test_a_number_that_is_everybodys_earns_for_nobody(member, keys):
    (item,) = parse(transaction(total("5.00"), member=member), **NOBODY)
    assert (item.document.customer.sent() if isinstance(item, Found) else item.code) == (keys or "no-customer")


def test_a_return_under_a_number_that_is_everybodys_does_not_wait_for_a_sale():
    back = transaction(returned("5.00"), total("-5.00"), link(), member=account(customer_id("STAFF-1")))
    assert only(parse(back, **NOBODY))["ifKnown"] is True


def test_a_loyalty_account_may_stand_at_the_transaction():
    basket = transaction(total("5.00"), member="", head=HEAD + MEMBER)
    assert only(parse(basket))["customer"] == {"externalId": "LOY-700001"}


def test_a_loyalty_number_may_be_the_members_id_at_flash():
    member = "<Customer><CustomerID>CRM-9</CustomerID></Customer>" + MEMBER
    assert only(parse(transaction(total("5.00"), member=member), customer_key="memberId"))["customer"] == {
        "memberId": "LOY-700001",
        "externalId": "CRM-9",
    }


def test_the_basket_and_its_day_are_kept_and_the_time_where_it_has_an_offset():
    times = "<BeginDateTime>2026-03-14T09:00:00Z</BeginDateTime><EndDateTime>{}</EndDateTime>"
    sale = only(parse(transaction(total("5.00"), head=HEAD + times.format("2026-03-14T10:05:00+01:00"))))
    assert (sale["transactionId"], sale["businessDate"]) == ("7", "2026-03-14")
    assert sale["occurredAt"] == "2026-03-14T10:05:00+01:00"
    local = only(parse(transaction(total("5.00"), head=HEAD + "<EndDateTime>2026-03-14T10:05:00</EndDateTime>")))
    assert "occurredAt" not in local
    odd = only(parse(transaction(total("5.00"), head=HEAD + times.format("five past ten"))))
    assert odd["occurredAt"] == "2026-03-14T09:00:00+00:00"


@pytest.mark.parametrize(
    "units",
    [
        "<RetailStoreID>12</RetailStoreID><BusinessUnit><UnitID>R</UnitID></BusinessUnit>",
        '<BusinessUnit><UnitID TypeCode="Region">R</UnitID><UnitID TypeCode="RetailStore">12</UnitID></BusinessUnit>',
        "<BusinessUnit><UnitID>12</UnitID></BusinessUnit>",
    ],
)
def test_the_store_is_the_unit_that_is_one(units):
    head = units + HEAD.replace("<RetailStoreID>12</RetailStoreID>", "")
    sale = only(parse(transaction(total("5.00"), head=head), stores={"12": "st_a"}))
    assert (sale["storeId"], sale["externalOrderId"]) == ("st_a", "12-2026-03-14-4-7")
