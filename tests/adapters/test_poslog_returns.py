"""POSLog: what comes back, by returns, exchanges and post-voids, and of which sale."""

from decimal import Decimal

import pytest
from hypothesis import given, settings, strategies

from agent.adapters.base import Found, Skipped
from agent.model import Refund, Sale
from tests.adapters.poslog_xml import HEAD, LINK, link, only, parse, returned, sold, told, total, transaction


@pytest.mark.parametrize(
    ("parts", "outcome"),
    [
        ((returned("10.00", inside=link()), total("-10.80")), ["refund 12-2026-03-13-4-2 10.80"]),
        ((returned("10.00"), total("-10.80"), link()), ["refund 12-2026-03-13-4-2 10.80"]),
        ((sold("10.00", "-1.0000"), total("-10.80"), link(reason="")), ["refund 12-2026-03-13-4-2 10.80"]),
        ((returned("10.00", inside=link()), total("10.80")), ["refund 12-2026-03-13-4-2 10.80"]),
        ((total("-10.80"), link()), ["refund 12-2026-03-13-4-2 10.80"]),
        ((sold("-10.00", inside=link()), total("-10.80")), ["refund 12-2026-03-13-4-2 10.80"]),
        (
            (returned("10.00", inside=link().replace("TransactionLink", "ReturnTransactionLink")), total("-10.80")),
            ["refund 12-2026-03-13-4-2 10.80"],
        ),
        ((returned("10.00"), total("-10.80")), ["return-without-sale"]),
        ((sold("10.00", "-1"), total("-10.80")), ["return-without-sale"]),
        ((total("-10.80"),), ["return-without-sale"]),
        ((total("-10.80"), link(reason="Resume")), ["return-without-sale"]),
        ((returned("0.00", inside=link()), total("0.00")), ["nothing-refunded"]),
        ((sold("10.00"), total("10.80"), link()), ["unsound"]),
        ((returned("1", inside=link(2)), returned("1", inside=link(3)), total("9" * 50)), ["unsound"]),
        ((returned("9" * 50, inside=link()), sold("5.00"), total("0.00")), ["unsound", "unsound"]),
        (
            (returned("20.00", inside=link(2)), returned("10.00", inside=link(3)), total("-33.00")),
            ["refund 12-2026-03-13-4-2 22.00", "refund 12-2026-03-13-4-3 11.00"],
        ),
        (
            (returned("20.00", inside=link(2)), returned("13.00", inside=link(2)), total("-33.00")),
            ["refund 12-2026-03-13-4-2 33.00"],
        ),
        (
            (returned("1.00", inside=link(2)), returned("1.00", inside=link(3)), returned("1.00"), total("-0.10")),
            ["refund 12-2026-03-13-4-2 0.03", "refund 12-2026-03-13-4-3 0.03", "return-without-sale"],
        ),
        (
            (*(returned("1.00", inside=link(n)) for n in range(1, 6)), total("-0.03")),
            ["refund 12-2026-03-13-4-5 0.03"],
        ),
    ],
)
def test_a_return_is_the_refund_of_the_sale_it_names(parts, outcome):
    assert told(parse(transaction(*parts))) == outcome


@pytest.mark.parametrize(
    ("parts", "outcome"),
    [
        (
            (returned("10.00", inside=link()), sold("25.00"), total("15.00")),
            ["sale 25.00", "refund 12-2026-03-13-4-2 10.00"],
        ),
        (
            (returned("10.00"), sold("25.00"), total("15.00"), link(reason="Exchange")),
            ["sale 25.00", "refund 12-2026-03-13-4-2 10.00"],
        ),
        (
            (returned("30.00", inside=link()), sold("25.00"), total("-5.00")),
            ["sale 25.00", "refund 12-2026-03-13-4-2 30.00"],
        ),
        (
            (returned("10.00", inside=link()), sold("10.00"), total("0.00")),
            ["sale 10.00", "refund 12-2026-03-13-4-2 10.00"],
        ),
        (
            (sold("10.00", "-1", inside=link()), sold("25.00", item="B"), total("15.00")),
            ["sale 25.00", "refund 12-2026-03-13-4-2 10.00"],
        ),
        ((returned("10.00"), sold("25.00"), total("15.00")), ["sale 15.00"]),
        ((returned("10.00"), sold("25.00"), total("15.00"), link(reason="Resume")), ["sale 15.00"]),
        ((sold("10.00", "-1", item="B"), sold("25.00"), total("15.00")), ["sale 15.00"]),
        ((returned("30.00"), sold("25.00"), total("-5.00")), ["return-without-sale"]),
        ((returned("25.00"), sold("25.00"), total("0.00")), ["return-without-sale"]),
        (
            (returned("10.00", inside=link()), returned("40.00"), sold("25.00"), total("-25.00")),
            ["refund 12-2026-03-13-4-2 10.00", "return-without-sale"],
        ),
        (
            (returned("10.00", inside=link()), returned("5.00"), sold("25.00"), total("10.00")),
            ["sale 20.00", "refund 12-2026-03-13-4-2 10.00"],
        ),
        # Taxes that the line leaves out, and the total has, are less than the difference: the refund is all there is.
        (
            (returned("10.00", inside=link()), sold("0.00"), total("-10.80")),
            ["refund 12-2026-03-13-4-2 10.80"],
        ),
        ((returned("ten", inside=link()), sold("25.00"), total("15.00")), ["unsound"]),
    ],
)
def test_an_exchange_comes_to_its_total(parts, outcome):
    assert told(parse(transaction(*parts))) == outcome


CENTS = strategies.integers(1, 99_999).map(lambda cents: Decimal(cents) / 100)


@settings(max_examples=150, deadline=None)
@given(
    sales=strategies.lists(CENTS, max_size=3),
    back=strategies.lists(strategies.tuples(CENTS, strategies.sampled_from([None, 2, 3, 4])), max_size=4),
    odd=strategies.integers(-3, 3),
)
def test_sale_and_refunds_come_to_the_total_and_are_never_less(sales, back, odd):
    """The total is what the lines come to, and some cents of rounding."""
    paid = sum(sales) - sum(amount for amount, _ in back) + Decimal(odd) / 100
    lines = [sold(str(amount), item=f"S{at}") for at, amount in enumerate(sales)]
    lines += [
        returned(str(amount), item=f"R{at}", inside="" if sale is None else link(sale))
        for at, (amount, sale) in enumerate(back)
    ]
    items = parse(transaction(*lines, total(str(paid))))
    found = [item.document for item in items if isinstance(item, Found)]
    assert not [item for item in items if isinstance(item, Skipped) and item.fault]
    given_back = [refund.amount for refund in found if isinstance(refund, Refund)]
    earned = sum(sale.total_amount for sale in found if isinstance(sale, Sale)) - sum(given_back)
    assert earned >= (paid if sales else -abs(paid))
    if sales and all(sale is not None for _, sale in back):
        assert earned == (paid if back or paid >= 0 else 0)


def test_taxes_on_top_are_taken_back_with_the_item():
    tax = '<Tax><TaxableAmount TaxIncludedInTaxableAmountFlag="{}">10.00</TaxableAmount><Amount>0.80</Amount></Tax>'
    on_top = returned("10.00", inside=tax.format("false") + link())
    included = returned("10.00", inside=tax.format("true") + link())
    new = sold("25.00")
    assert told(parse(transaction(on_top, new, total("14.20"))))[0] == "sale 25.00"
    assert told(parse(transaction(included, new, total("15.00"))))[0] == "sale 25.00"


@pytest.mark.parametrize(
    "voided",
    [
        returned("10.00", flags='VoidFlag="true"', inside=link()),
        returned("10.00", inside=link()) + returned("-10.00", "-1", flags='VoidFlag="true"', inside=link()),
        returned("10.00", inside=link()) + returned("10.00", "-1", flags='VoidFlag="true"', inside=link()),
        sold("10.00", "-1", inside=link()) + sold("10.00", "1", flags='VoidFlag="true"', inside=link()),
    ],
)
def test_a_voided_return_line_takes_nothing_back(voided):
    assert told(parse(transaction(voided, sold("25.00", item="B"), total("25.00")))) == ["sale 25.00"]


def test_totals_without_a_sign_are_negative_where_a_flag_says_so():
    basket = transaction(total("10.80"), "<NegativeTotalFlag>true</NegativeTotalFlag>", link())
    assert told(parse(basket)) == ["refund 12-2026-03-13-4-2 10.80"]


@pytest.mark.parametrize(
    "parts",
    [
        transaction(sold("-5.00", "-1"), total("-5.00"), link(reason="Voided"), status="PostVoided"),
        transaction(total("5.00"), link(reason=""), status="PostVoided"),
        transaction(total("5.00"), link(reason="WN:Voided")),
        transaction(total("5.00"), f"<PostVoid>{link(reason='')}</PostVoid>"),
        f"<Transaction>{HEAD}<ControlTransaction><PostVoid/>{link(reason='')}</ControlTransaction></Transaction>",
        f"<Transaction>{HEAD}<PostVoid>{LINK.format(sequence=2, reason='')[17:-18]}</PostVoid></Transaction>",
    ],
)
def test_a_post_void_refunds_the_whole_sale_under_its_own_number(parts):
    refund = only(parse(parts))
    assert refund["externalOrderId"] == "12-2026-03-13-4-2"
    assert refund["refundId"] == "12-2026-03-14-4-7"
    assert "amount" not in refund


def test_a_resumed_basket_that_was_voided_takes_nothing_back():
    assert told(parse(transaction(total("5.00"), link(reason="Resume"), status="PostVoided"))) == ["voided"]


def test_a_post_void_without_a_day_is_of_its_own_day():
    said = link(reason="Voided").replace("<BusinessDayDate>2026-03-13</BusinessDayDate>", "")
    assert only(parse(transaction(total("-5.00"), said, status="PostVoided")))["externalOrderId"] == "12-2026-03-14-4-2"


def test_a_post_void_that_names_nothing_or_a_return_is_said_so():
    nameless = f"<Transaction>{HEAD}<ControlTransaction><PostVoid/></ControlTransaction></Transaction>"
    of_return = transaction(returned("5.00"), total("5.00"), link(reason="Voided"), status="PostVoided")
    items = parse(nameless, of_return)
    assert told(items) == ["post-void-without-sale", "post-void-of-return"]
    assert [item.fault for item in items] == [False, True]


def test_a_post_void_of_an_exchange_refunds_its_sale_and_leaves_its_return_to_a_person():
    exchange = returned("10.00", inside=link(3)) + sold("25.00")
    items = parse(transaction(exchange, total("-15.00"), link(2, "Voided"), status="PostVoided"))
    assert told(items) == ["refund 12-2026-03-13-4-2 None", "post-void-of-return"]
    bottle = returned("0.25") + sold("25.00")
    items = parse(transaction(bottle, total("-24.75"), link(2, "Voided"), status="PostVoided"))
    assert told(items) == ["refund 12-2026-03-13-4-2 None"]


def test_a_refund_of_somebody_unknown_counts_only_where_the_sale_is_known():
    known = only(parse(transaction(total("-5.00"), link())))
    unknown = only(parse(transaction(total("-5.00"), link(), member="")))
    assert "ifKnown" not in known
    assert unknown["ifKnown"] is True


@pytest.mark.parametrize(
    ("parts", "outcome"),
    [
        ([returned("10.00"), total("-10.00")], ["refund 12-2026-03-13-4-2 10.00"]),
        ([total("-10.00")], ["refund 12-2026-03-13-4-2 10.00"]),
        (
            [returned("10.00"), sold("30.00", item="B"), total("20.00")],
            ["sale 30.00", "refund 12-2026-03-13-4-2 10.00"],
        ),
        ([sold("30.00"), total("30.00")], ["unsound"]),  # it says that it is a return, and nothing in it is one
    ],
)
def test_a_sale_may_be_named_beside_the_basket_too(parts, outcome):
    assert told(parse(transaction(*parts, head=HEAD + link()))) == outcome


def test_a_link_in_the_basket_counts_before_one_beside_it():
    basket = transaction(returned("10.00"), total("-10.00"), link(3), head=HEAD + link(2))
    assert told(parse(basket)) == ["refund 12-2026-03-13-4-3 10.00"]
