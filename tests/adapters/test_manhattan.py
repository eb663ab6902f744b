"""Manhattan Active Omni: what an order and the returns in it come to. Goldens hold the usual; here are the traps."""

import pytest

from tests.adapters.parsing import codes, found, items_of


def line(total, *, status="7000", **fields):
    return {"OrderLineTotal": total, "MinFulfillmentStatusId": status, "MaxFulfillmentStatusId": status, **fields}


def order(*lines, total=50, status="7000", paid="5000", **fields):
    return {
        "OrgId": "NORTH",
        "OrderId": "SO-1",
        "CustomerId": "C-20017",
        "OrderTotal": total,
        "MinFulfillmentStatusId": status,
        "MaxFulfillmentStatusId": status,
        "PaymentStatus": {"StatusId": paid},
        "OrderLine": list(lines) or [line(total)],
        **fields,
    }


def back(total, parent="SO-0", **fields):
    return line(total, status=None, IsReturn=True, ParentOrderId=parent, **fields)


@pytest.mark.parametrize("status", ["5000", "6000", "7000", "8000", "7000.000"])
def test_each_fulfilled_status_earns(status):
    assert codes("manhattan", order(status=status)) == ["sale"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"status": "3000"}, "not-fulfilled"),
        ({"status": "7000.100"}, "not-fulfilled"),
        ({"status": None}, "not-fulfilled"),
        ({"MinFulfillmentStatusId": "5000"}, "not-fulfilled"),  # 5000 and 7000 both earn, a mixture does not
        ({"paid": "5000.100"}, "not-paid"),
        ({"paid": None}, "not-paid"),
        ({"paid": "7000"}, "not-paid"),
        ({"Payment": [{"Status": {"StatusId": "3000.000"}}]}, "not-paid"),
        ({"IsConfirmed": False}, "not-confirmed"),
        ({"IsCancelled": "true"}, "cancelled"),
        ({"CustomerId": " ", "CustomerEmail": "Undefined"}, "no-customer"),
        ({"OrgId": None}, "no-org!"),
        ({"OrderTotal": "a lot"}, "unsound!"),
        ({"OrderTotal": None}, "unsound!"),
        ({"IsOnHold": "perhaps"}, "unsound!"),
        ({"BusinessDate": "14.3.2026"}, "unsound!"),
    ],
)
def test_what_earns_nothing(fields, code):
    assert codes("manhattan", order(**fields)) == [code]


@pytest.mark.parametrize("lines", [None, [], [None]])
def test_a_header_alone_may_be_that_of_a_return_or_an_exchange(lines):
    assert codes("manhattan", order(OrderLine=lines)) == ["no-lines!"]
    assert codes("manhattan", order(OrderLine=lines, IsCancelled=True)) == ["cancelled"]


@pytest.mark.parametrize("keys", [{"CustomerId": "0017"}, {"CustomerId": None, "CustomerEmail": "Guest@example.com"}])
def test_an_account_that_is_everybodys_earns_for_nobody(keys):
    nobody = {"anonymous_customers": ["17", "guest@example.com"]}
    assert codes("manhattan", order(**keys)) == ["sale"]
    assert codes("manhattan", order(**keys), **nobody) == ["no-customer"]
    (refund,) = found("manhattan", order(back(20), **keys), **nobody)
    assert refund["ifKnown"] is True


def test_a_cancelled_payment_does_not_count():
    payments = [{"IsCancelled": True, "Status": {"StatusId": "1000"}}, {"Status": {"StatusId": "5000.000"}}]
    assert codes("manhattan", order(paid=None, Payment=payments)) == ["sale"]


def test_cancelled_lines_do_not_keep_the_rest_from_earning():
    gone = line(0, status="9000", IsCancelled=True)
    assert codes("manhattan", order(line(50), gone, MaxFulfillmentStatusId="9000")) == ["sale"]
    assert codes("manhattan", order(line(50, status="3000"), gone, MaxFulfillmentStatusId="9000")) == ["not-fulfilled"]


def test_statuses_are_the_sites_own():
    document = order(status="7500", paid="5500")
    assert codes("manhattan", document) == ["not-fulfilled"]
    assert codes("manhattan", document, earning_statuses=["7500"], paid_statuses=["5500"]) == ["sale"]


def test_sale_and_return_name_the_order_alike():
    sale, refund = found("manhattan", [order(OrderId="SO-0"), order(back(-50), total=-50, OrderId="RO-1")])
    assert sale["externalOrderId"] == refund["externalOrderId"] == "manhattan-NORTH-SO-0"
    sale, refund = found("manhattan", [order(OrderId="SO-0"), order(back(-50), total=-50)], with_org=False)
    assert sale["externalOrderId"] == refund["externalOrderId"] == "manhattan-SO-0"


def test_a_refund_is_the_header_where_all_of_it_is_of_one_sale():
    (refund,) = found("manhattan", order(back(-20), back(-30), total=-45))  # 5 are the fee of the return
    assert refund["amount"] == 45
    first, second = found("manhattan", order(back(-20), back(30, "SO-9"), total=-45))
    assert (first["amount"], second["amount"]) == (20, 30)
    assert (first["externalOrderId"], second["externalOrderId"]) == ("manhattan-NORTH-SO-0", "manhattan-NORTH-SO-9")


def test_a_return_waits_for_the_goods():
    assert codes("manhattan", order(back(-50), total=-50, MinReturnStatusId="11000.000")) == ["not-returned"]
    assert codes("manhattan", order(back(-50), total=-50, MinReturnStatusId="13000.000")) == ["refund"]


@pytest.mark.parametrize(("total", "paid"), [(15, "5000"), (55, "5000"), (15, "7000")])
def test_an_exchange_earns_the_new_and_gives_back_the_old(total, paid):
    sale, refund = found("manhattan", order(line(55), back(-40), total=total, status=None, paid=paid))
    assert (sale["totalAmount"], refund["amount"]) == (55, 40)


def test_an_exchange_whose_header_fits_no_line_earns_nothing_until_a_person_looked():
    (item,) = items_of("manhattan", order(line(55), back(-40), total=16))
    assert (item.code, item.fault) == ("unsound", True)
    assert "OrderTotal" in item.reason


def test_an_even_exchange_moves_nothing():
    new, old = line(40, IsEvenExchange=True), back(-40)
    assert codes("manhattan", order(new, old, total=0)) == ["even-exchange"]
    assert codes("manhattan", order(new, {**old, "IsEvenExchange": True}, total=0)) == ["even-exchange"]
    assert codes("manhattan", order(new, old, back(-10), total=-10)) == ["unclear-exchange!"]
    assert codes("manhattan", order(new, line(10), total=50)) == ["unclear-exchange!"]


def test_a_refund_without_a_customer_is_only_for_a_sale_that_is_known():
    (refund,) = found("manhattan", order(back(-50), total=-50, CustomerId=None))
    assert refund["ifKnown"] is True
    (refund,) = found("manhattan", order(back(-50), total=-50))
    assert "ifKnown" not in refund


def test_one_bad_order_takes_no_other_with_it():
    assert codes("manhattan", {"data": [order(total=[1]), order()]}) == ["unsound!", "sale"]


def test_times_without_a_zone_are_not_sent():
    (sale,) = found("manhattan", order(CapturedDate="2026-03-14T09:26:53", BusinessDate="2026-03-14"))
    assert sale["businessDate"] == "2026-03-14"
    assert "occurredAt" not in sale


@pytest.mark.parametrize("fields", [{"IsCancelled": True}, {"IsPostVoided": True}])
def test_what_is_undone_gives_back_what_it_earned_where_the_site_says_so(fields):
    (refund,) = found("manhattan", order(line(50), **fields), give_back_undone=True)
    sent = {"externalOrderId": "manhattan-NORTH-SO-1", "refundId": "manhattan-NORTH-SO-1-undone", "ifKnown": True}
    assert refund == {"kind": "refund", **sent}
    assert found("manhattan", order(line(50), **fields)) == []
    assert found("manhattan", order(back(-50), **fields), give_back_undone=True) == []
    assert found("manhattan", order(line(50), IsOnHold=True), give_back_undone=True) == []
