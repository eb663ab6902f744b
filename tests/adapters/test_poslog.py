"""POSLog: which transaction it is, what was paid, and whether it earns. `till_day_*.xml` shows all of it together."""

from decimal import Decimal

import pytest

from agent.adapters import registry
from agent.adapters.base import Found, Site, Skipped, guarded, named
from agent.adapters.values import amount
from agent.errors import ConfigError
from tests.adapters.poslog_xml import ADAPTER, HEAD, link, only, parse, sold, told, total, transaction


def test_one_sequence_number_is_another_order_at_another_store_till_or_day():
    heads = [HEAD, HEAD.replace(">12<", ">13<"), HEAD.replace(">4<", ">5<"), HEAD.replace("-14<", "-15<")]
    items = parse(*(transaction(total("5.00"), head=head) for head in heads))
    assert len({item.document.external_order_id for item in items}) == 4
    assert items[0].document.external_order_id == "12-2026-03-14-4-7"


@pytest.mark.parametrize(
    ("template", "order_id"),
    [
        ("{store}/{workstation}/{business_date}/{sequence}", "12/4/2026-03-14/7"),
        ("{transaction_id}", "T-99"),
        ("{store}-{transaction_id}", "12-T-99"),
    ],
)
def test_a_site_says_how_an_order_is_called_and_a_link_calls_it_so_too(template, order_id):
    head = f"{HEAD}<TransactionID>T-99</TransactionID>"
    sale = only(parse(transaction(total("5.00"), head=head), order_id=template, id_prefix="log-"))
    back = f"<TransactionLink>{head}</TransactionLink>"
    later = HEAD.replace(">7<", ">8<") + "<TransactionID>T-100</TransactionID>"
    refund = only(parse(transaction(total("-5.00"), back, head=later), order_id=template, id_prefix="log-"))
    assert sale["externalOrderId"] == refund["externalOrderId"] == f"log-{order_id}"
    assert refund["refundId"].startswith("log-")
    assert refund["refundId"] != refund["externalOrderId"]


@pytest.mark.parametrize(
    "template", ["{store}-{till}", "{store}", "{sequence!r}", "{sequence:>9}", "{", "{sequence.x}"]
)
def test_a_template_that_makes_no_ids_stops_the_start(template):
    with pytest.raises(ConfigError, match=r"\[adapters.poslog\] order_id: .*\{"):
        registry.options_of("poslog", {"order_id": template})


def test_a_sequence_number_is_a_number_however_it_is_padded():
    padded = HEAD.replace(">7<", ">00007<")
    assert only(parse(transaction(total("5.00"), head=padded)))["externalOrderId"] == "12-2026-03-14-4-7"


def test_a_link_without_a_store_means_this_one_and_without_a_day_the_date_of_its_time():
    said = "<TransactionLink><WorkstationID>4</WorkstationID><SequenceNumber>2</SequenceNumber>{}</TransactionLink>"
    dated = said.format("<BeginDateTime>2026-03-13T18:00:00</BeginDateTime>")
    assert only(parse(transaction(total("-5.00"), dated)))["externalOrderId"] == "12-2026-03-13-4-2"
    (item,) = parse(transaction(total("-5.00"), said.format("")))
    assert (item.code, item.fault) == ("unsound", True)
    assert "TransactionLink has no BusinessDayDate" in item.reason


def test_a_link_by_transaction_id_alone_says_how_to_mend_it():
    said = "<TransactionLink><TransactionID>T-1</TransactionID></TransactionLink>"
    (item,) = parse(transaction(total("-5.00"), said))
    assert 'set order_id = "{transaction_id}"' in item.reason
    assert only(
        parse(
            transaction(total("-5.00"), said, head=f"{HEAD}<TransactionID>T-2</TransactionID>"),
            order_id="{transaction_id}",
        )
    )["externalOrderId"] == ("T-1")


def test_an_unsound_day_is_the_fault_of_its_transaction_alone():
    items = parse(transaction(total("5.00"), head=HEAD.replace("2026-03-14", "14.03.26")), transaction(total("5.00")))
    assert told(items) == ["unsound", "sale 5.00"]
    assert "BusinessDayDate must be a date" in items[0].reason


@pytest.mark.parametrize(
    ("totals", "paid"),
    [
        (total("34.99") + total("28.45", "TransactionNetAmount") + total("6.53", "TransactionTaxAmount"), "34.99"),
        (total("28.4472", "TransactionNetAmount") + total("6.5428", "TransactionTaxAmount"), "34.99"),
        (total("22041.88000"), "22041.88"),
        (total("40", "TransactionGrossAmount") + total("33", "TransactionNetAmount"), "40"),
        ("<Total>789.97</Total>" + total("699.97"), "699.97"),
        ("<Total>7.50</Total>", "7.50"),
        (total("33", "TransactionNetAmount"), "33"),
        (total("0"), "0"),
    ],
)
def test_the_total_that_was_paid(totals, paid):
    assert only(parse(transaction(sold("99.99"), totals)))["totalAmount"] == Decimal(paid)


def test_a_site_names_its_own_total():
    basket = transaction(sold("5.00"), total("5.00", "x:Paid"))
    assert told(parse(basket)) == ["no-total"]
    assert told(parse(basket, totals=["x:Paid"])) == ["sale 5.00"]


@pytest.mark.parametrize(
    ("currency", "spelled", "outcome"), [("JPY", "1548", "sale 1548"), ("JPY", "1548.5", "unsound")]
)
def test_yen_are_whole(currency, spelled, outcome):
    assert told(parse(transaction(total(spelled)), currency=currency)) == [outcome]


@pytest.mark.parametrize(
    ("said", "outcome"), [("XXX", None), ("x:PTS", None), ("USD", "USD"), ("usd", "USD"), ("EUR", "foreign-currency")]
)
def test_no_currency_is_the_tills_and_another_is_said_so(said, outcome):
    (item,) = parse(transaction(f'<Total TotalType="TransactionGrandAmount" CurrencyCode="{said}">5.00</Total>'))
    assert (item.document.currency if isinstance(item, Found) else item.code) == outcome


def test_the_currency_of_the_transaction_counts_where_the_total_has_none():
    (item,) = parse(transaction(total("5.00"), head=f"{HEAD}<CurrencyCode>CHF</CurrencyCode>"))
    assert item.code == "foreign-currency"


def test_voided_lines_count_in_no_way():
    lines = sold("93.66", "7.21") + sold("-93.66", "-7.21", flags='VoidFlag="true"') + sold("22.21", "1.71")
    assert told(parse(transaction(lines, total("22.21")))) == ["sale 22.21"]


@pytest.mark.parametrize(
    ("flags", "status", "code"),
    [
        ('TrainingModeFlag="true"', "", "training"),
        ('TrainingModeFlag="1"', "", "training"),
        ('CancelFlag="true"', "", "cancelled"),
        ('VoidedFlag="true"', "", "voided"),
        ('SuspendFlag="true"', "", "suspended"),
        ('SuspendedFlag="true"', "", "suspended"),
        ("", "Canceled", "cancelled"),
        ("", "Voided", "voided"),
        ("", "TransactionVoided", "voided"),
        ("", "PostVoided", "voided"),
        ("", "Suspended", "suspended"),
        ("", "SuspendedDeleted", "suspended"),
        ("", "InProcess", "unfinished"),
        ("", "Projection", "unfinished"),
        ("", "x:Layaway", "unknown-status"),
        ('CancelFlag="perhaps"', "", "unsound"),
        ('CancelFlag="false" TrainingModeFlag="0"', "Finished", "sale 5.00"),
        ("", "Shipped", "sale 5.00"),
        ("", "delivered", "sale 5.00"),
    ],
)
def test_only_a_closed_basket_earns(flags, status, code):
    items = parse(transaction(sold("5.00"), total("5.00"), flags=flags, status=status))
    assert told(items) == [code]
    assert getattr(items[0], "fault", False) is (code in {"unknown-status", "unsound"})


def test_statuses_are_a_sites_own():
    basket = transaction(total("5.00"), status="Totaled")
    assert told(parse(basket, earning_statuses=["Totaled"])) == ["sale 5.00"]
    assert told(parse(basket, idle_statuses=["Total*"])) == ["unfinished"]


def test_a_training_post_void_takes_nothing_back():
    basket = transaction(link(reason="Voided"), total("-5.00"), flags='TrainingModeFlag="true"', status="PostVoided")
    assert told(parse(basket)) == ["training"]


def test_a_suspended_basket_earns_once_it_is_resumed():
    suspended = transaction(sold("5.00"), total("5.00"), status="Suspended", head=HEAD.replace(">7<", ">2<"))
    resumed = transaction(sold("5.00"), total("5.00"), link(reason="Resume"))
    assert told(parse(suspended, resumed)) == ["suspended", "sale 5.00"]


def test_two_baskets_under_one_number_are_told_apart_by_nobody():
    basket = transaction(total("5.00"))
    twice = basket.replace("</Transaction>", f"<RetailTransaction>{total('6.00')}</RetailTransaction></Transaction>")
    assert told(parse(twice)) == ["several-baskets"]


def test_a_value_is_named_and_spoils_its_record_alone():
    def record():
        yield Skipped("blank", "It is blank, this one.", "1")
        named("Amount", amount, "12,50")

    (item,) = guarded("record 3", record)
    assert (item.code, item.place, item.fault) == ("unsound", "record 3", True)
    assert item.reason == "It could not be sent: Amount must be a number, such as 12.50."
    assert len(guarded("record 4", lambda: [item, item])) == 2


def test_names_count_without_their_namespaces():
    plain = transaction(sold("5.00"), total("5.00"))
    prefixed = plain.replace("</", "</p:").replace("<", "<p:").replace("<p:/p:", "</p:")
    document = f'<p:POSLog xmlns:p="urn:any">{prefixed}</p:POSLog>'.encode()
    found = ADAPTER.parse(document, ADAPTER.options(), Site("USD", others_are_own=True))
    assert told(found) == told(parse(plain)) == ["sale 5.00"]


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16", "ISO-8859-1", "windows-1252"])
def test_a_log_is_read_in_its_own_encoding(encoding):
    head = HEAD.replace(">12<", ">Café 12<")
    text = f'<?xml version="1.0" encoding="{encoding}"?><POSLog>{transaction(total("5.00"), head=head)}</POSLog>'
    assert only(ADAPTER.parse(text.encode(encoding), ADAPTER.options(), Site("USD", others_are_own=True)))[
        "externalOrderId"
    ] == ("Café 12-2026-03-14-4-7")


def test_what_was_read_before_a_log_breaks_off_is_found():
    whole = f"<POSLog>{transaction(total('5.00'))}{transaction(total('6.00'))}"
    assert told(ADAPTER.parse(whole.encode(), ADAPTER.options(), Site("USD", others_are_own=True))) == [
        "sale 5.00",
        "sale 6.00",
        "unreadable",
    ]
    (item,) = ADAPTER.parse(b'<?xml version="1.0" encoding="no-such"?><POSLog/>', ADAPTER.options(), Site("JPY"))
    assert "send UTF-8" in item.reason


@pytest.mark.parametrize(
    ("document", "code", "fault"),
    [
        (b"<POSLog/>", "nothing-in-it", False),
        (b'<p:POSLog xmlns:p="urn:x"><Header/></p:POSLog>', "nothing-in-it", False),
        (b"<OrderList><Order/></OrderList>", "other-document", True),
    ],
)
def test_a_document_of_another_kind_is_no_quiet_hour(document, code, fault):
    (item,) = ADAPTER.parse(document, registry.options_of("poslog", {}), Site("USD", others_are_own=True))
    assert (item.code, item.fault) == (code, fault)


PAID_IN = "<LineItem><PaymentOnAccount><Amount>50.00</Amount></PaymentOnAccount></LineItem>"
TENDER = "<LineItem><Tender><Amount>50.00</Amount></Tender></LineItem>"


@pytest.mark.parametrize("lines", [[PAID_IN, TENDER], [TENDER]])
def test_money_that_is_paid_in_without_an_item_is_no_sale(lines):
    """What was bought on the account has earned when it was bought: its payment would earn once more."""
    paid = transaction(*lines, total("50.00"))
    (item,) = parse(paid)
    assert (item.code, item.fault) == ("no-items", True)
    (item,) = parse(paid, baskets_without_items=False)
    assert (item.code, item.fault) == ("no-items", False)
    assert told(parse(paid, baskets_without_items=True)) == ["sale 50.00"]
    assert told(parse(transaction(*lines, total("50.00"), member=""))) == ["no-customer"]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [TENDER, "<LineItem><Sold><ItemID>7</ItemID></Sold></LineItem>"],
        [TENDER, "<LineItem><Article><POSIdentity><POSItemID>7</POSItemID></POSIdentity></Article></LineItem>"],
        [TENDER, sold("60.00"), sold("-60.00", flags='VoidFlag="true"')],
    ],
)
def test_a_basket_with_items_of_any_name_or_with_no_lines_at_all_is_a_sale(lines):
    assert told(parse(transaction(*lines, total("50.00")))) == ["sale 50.00"]
