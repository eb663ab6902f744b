"""Dynamics 365: what its records come to. Goldens hold the usual; here are the traps."""

from functools import partial

import pytest

from agent.adapters import registry
from agent.errors import ConfigError
from tests.adapters import parsing

codes, found, items_of = (partial(each, both_earn=True) for each in (parsing.codes, parsing.found, parsing.items_of))
ORDER_ID = "ae6b26ca-290f-e711-810a-000c292dded1"


def order(**fields):
    return {
        "salesorderid": ORDER_ID,
        "ordernumber": "ORD-1",
        "statecode": 4,
        "statuscode": 100003,
        "totalamount": 595,
        "_customerid_value": "192344df-8bb4-e511-8106-d89d672cdd98",
        **fields,
    }


def receipt(number, amount, **fields):
    return {
        "TransactionNumber": f"T-{number}",
        "RreceiptId": f"R-{number}",
        "EntryStatus": 2,
        "GrossAmount": amount,
        "CustomerAccount": "004021",
        **fields,
    }


def back(number, amount, sale, **fields):
    return receipt(number, amount, SaleIsReturnSale="Yes", RefundReceiptId=sale, **fields)


@pytest.mark.parametrize(
    "document",
    [
        order(),
        [order()],
        {"value": [order()]},
        {"d": {"results": [order()]}},
        {"attributes": order(), "id": ORDER_ID},
        order(salesorderid="{AE6B26CA-290F-E711-810A-000C292DDED1}", statecode={"Value": 4}, statuscode="100003"),
    ],
)
def test_however_it_is_wrapped_it_is_one_order(document):
    (sale,) = found("dynamics", document)
    assert sale["externalOrderId"] == f"dynamics-{ORDER_ID}"


def test_a_purchase_never_earns_as_a_transaction_and_as_the_order_made_of_it():
    both = [order(), receipt(1, -10), back(2, 10, "R-1")]
    assert parsing.codes("dynamics", both) == ["sale", "not-the-awarding-kind!", "not-the-awarding-kind!"]
    said = parsing.items_of("dynamics", both)[1].reason
    assert 'award = "transactions"' in said
    assert "both_earn = true" in said
    chosen = ["sale", "not-the-awarding-kind", "not-the-awarding-kind"]  # then somebody has thought of it
    assert parsing.codes("dynamics", both, award="orders") == chosen
    assert parsing.codes("dynamics", both, award="transactions") == ["not-the-awarding-kind", "sale", "refund"]
    assert parsing.codes("dynamics", both, both_earn=True) == ["sale", "sale", "refund"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"statecode": 0}, "status"),
        ({"statecode": 2}, "status"),
        ({"statecode": None}, "status"),
        ({"statecode": 3, "statuscode": 100002}, "partly-fulfilled"),
        ({"_customerid_value": None}, "no-customer"),
        ({"totalamount": None}, "unsound!"),
        ({"totalamount": -5}, "unsound!"),
        ({"createdon": "yesterday"}, "unsound!"),
        ({"exchangerate": 0.9}, "unsound!"),
    ],
)
def test_which_orders_earn_nothing(fields, code):
    assert codes("dynamics", order(**fields)) == [code]


def test_an_order_may_be_named_by_its_number():
    (sale,) = found("dynamics", order(), order_id="number")
    assert sale["externalOrderId"] == "dynamics-ORD-1"
    assert codes("dynamics", order(ordernumber=None), order_id="number") == ["no-number!"]


def test_an_amount_in_an_unknown_currency_is_never_taken_for_the_tills():
    foreign = order(exchangerate=0.9, _transactioncurrencyid_value="C9-EUR")
    assert codes("dynamics", foreign) == ["unsound!"]
    assert codes("dynamics", foreign, currencies={"{c9-eur}": "EUR"}) == ["foreign-currency!"]
    assert codes("dynamics", foreign, currencies={"c9-eur": "USD"}) == ["sale"]
    assert codes("dynamics", order(exchangerate=1, _transactioncurrencyid_value="C9-EUR")) == ["sale"]


def test_a_customer_may_be_known_by_e_mail_alone():
    expanded = order(customerid_account={"emailaddress1": "ada@example.com"})
    (sale,) = found("dynamics", expanded, customer_key="email")
    assert sale["customer"] == {"email": "ada@example.com"}
    assert codes("dynamics", order(), customer_key="email") == ["no-customer"]
    assert codes("dynamics", {"contactid": "c-1", "fullname": "Ada"}, customer_key="email") == ["no-email"]


@pytest.mark.parametrize("value", [1490205783000, "2017-03-22T18:03:03Z", "/Date(1490205783000)/"])
def test_each_spelling_of_a_time_is_the_same_time(value):
    (sale,) = found("dynamics", order(createdon=value))
    assert sale["occurredAt"] == "2017-03-22T18:03:03+00:00"


def test_a_return_names_the_receipt_by_which_the_sale_was_sent():
    sale, refund = found("dynamics", [receipt(1, -50), back(2, 20, "R-1")])
    assert sale["externalOrderId"] == refund["externalOrderId"] == "dynamics-retail-R-1"
    assert (sale["totalAmount"], refund["amount"], refund["refundId"]) == (50, 20, "dynamics-retail-R-2")


def test_by_transaction_number_the_sale_must_be_at_hand():
    both = [receipt(1, -50), back(2, 20, "R-1")]
    sale, refund = found("dynamics", both, retail_id="transaction")
    assert sale["externalOrderId"] == refund["externalOrderId"] == "dynamics-retail-T-1"
    assert codes("dynamics", both[1:], retail_id="transaction") == ["sale-not-in-document!"]


def test_what_contradicts_the_sign_is_looked_at_by_a_person():
    assert codes("dynamics", [receipt(1, 50), back(2, -20, "R-1")]) == ["wrong-sign!", "wrong-sign!"]
    assert codes("dynamics", [receipt(1, 50), back(2, -20, "R-1")], sale_sign="positive") == ["sale", "refund"]
    assert "sale_sign" in items_of("dynamics", receipt(1, 50))[0].reason
    assert codes("dynamics", [receipt(1, 0), back(2, 0, "R-1")]) == ["sale", "nothing-refunded"]


@pytest.mark.parametrize("status", [2, 3, "2", "Posted", "concluded"])
def test_each_status_that_earns(status):
    assert codes("dynamics", receipt(1, -50, EntryStatus=status)) == ["sale"]
    assert codes("dynamics", receipt(1, -50, EntryStatus=None, TransactionStatus=status)) == ["sale"]


@pytest.mark.parametrize("status", [0, 1, 4, 5, 6, "None", "Voided", "Training"])
def test_each_status_that_does_not(status):
    assert codes("dynamics", receipt(1, -50, EntryStatus=status)) == ["status"]


def test_a_transaction_without_a_status_is_no_sale():
    assert codes("dynamics", receipt(1, -50, EntryStatus=None)) == ["no-status!"]


def test_the_account_of_everybody_is_nobody():
    walk_in = receipt(1, -50, CustomerAccount="WALKIN")
    assert codes("dynamics", walk_in) == ["sale"]
    assert codes("dynamics", walk_in, anonymous_customers=["WALKIN"]) == ["no-customer"]
    (refund,) = found("dynamics", back(2, 20, "R-1", CustomerAccount="WALKIN"), anonymous_customers=["WALKIN"])
    assert refund["ifKnown"] is True


def test_a_guest_of_customer_engagement_is_nobody():
    nobody = {"anonymous_customers": ["192344DF-8BB4-E511-8106-D89D672CDD98", "guest@example.com"]}
    assert codes("dynamics", order(emailaddress="Guest@example.com"), **nobody) == ["no-customer"]
    (sale,) = found("dynamics", order(emailaddress="ada@example.com"), **nobody)
    assert sale["customer"] == {"email": "ada@example.com"}


def test_a_date_of_1900_is_no_date():
    (sale,) = found("dynamics", receipt(1, -50, businessDate="1900-01-01", TransactionDate="2026-03-14T12:00:00Z"))
    assert sale["businessDate"] == "2026-03-14"
    (sale,) = found("dynamics", receipt(1, -50, BeginDateTime="1900-01-01T00:00:00Z"))
    assert sale.keys().isdisjoint({"occurredAt", "businessDate"})


def test_one_unsound_record_takes_no_other_with_it():
    assert codes("dynamics", {"value": [order(totalamount={}), receipt(1, "many"), order()]}) == [
        "unsound!",
        "unsound!",
        "sale",
    ]


def test_what_it_is_not_is_said():
    assert codes("dynamics", {"error": {"code": "0x80040217", "message": "no"}}) == ["error-answer!"]
    assert codes("dynamics", {"leadid": "1"}) == ["unknown-record!"]
    assert codes("dynamics", {"value": [], "@odata.nextLink": "https://example.com/2"}) == ["more-pages"]


def test_an_option_that_is_none_is_named():
    with pytest.raises(ConfigError, match=r"\[adapters.dynamics\] sale_sign"):
        registry.options_of("dynamics", {"sale_sign": "inverted"})


def test_a_number_that_is_an_address_is_not_repeated():
    (item,) = items_of("dynamics", order(ordernumber="ada@example.com", statecode=0))
    assert item.place == "record 1"


def test_the_account_of_everybody_becomes_no_member_and_a_shared_address_joins_none():
    guest = {"accountid": ORDER_ID, "name": "Guest", "emailaddress1": "guest@example.com"}
    assert codes("dynamics", guest, anonymous_customers=[ORDER_ID]) == ["anonymous"]
    (member,) = found("dynamics", guest, anonymous_customers=["Guest@example.com"])
    assert "email" not in member
