"""What a basket's lines say: what was sold, what was taken back, and of which sale. Amounts of lines are no totals.

A line counts as taken back where it is a `Return`, or a `Sale` of a negative quantity, or one of a negative amount that
names its sale. A voided line is left out, and with it the line that it repeats with the opposite sign.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from xml.etree.ElementTree import Element

from agent.adapters import values
from agent.adapters.xml_documents import attribute, child, children, content

SALES = frozenset({"Sale", "SaleForDelivery", "SaleForPickup"})
RETURNS = frozenset({"Return", "ReturnForDelivery", "ReturnForPickup"})
_LINKS = frozenset({"TransactionLink", "ReturnTransactionLink"})
_ITEMS = ("ItemID", "POSIdentity", "ExtendedAmount")
_VOID_FLAGS = ("VoidFlag", "CancelFlag")


@dataclass(frozen=True, slots=True)
class Line:
    """One line with an item.

    `amount` has the taxes that come on top, and is below zero where it or the quantity is; None: unreadable.
    """

    item: str | None
    amount: Decimal | None
    is_return: bool
    taken_back: bool
    voided: bool
    link: Element | None


def is_voided(line: Element) -> bool:
    """Whether a line is marked as voided; a mark that is neither yes nor no is none."""
    return any(_is_yes(attribute(line, flag)) for flag in _VOID_FLAGS)


def lines_of(basket: Element) -> list[Line]:
    """The lines of a basket that have an item, voided ones too."""
    return [
        _line(line, item)
        for line in children(basket, "LineItem")
        for item in line
        if item.tag in SALES or item.tag in RETURNS
    ]


def has_items(basket: Element) -> bool:
    """Whether any line has an item, voided ones too, by whatever name the till calls what became of it."""
    return any(
        found.tag in SALES or found.tag in RETURNS or any(child(found, name) is not None for name in _ITEMS)
        for line in children(basket, "LineItem")
        for found in line
    )


def standing(lines: Sequence[Line]) -> list[Line]:
    """Without what was voided: neither the voided lines nor those that they repeat with the opposite sign."""
    repeated = Counter((line.is_return, line.item, -line.amount) for line in lines if line.voided and line.amount)
    left = []
    for line in lines:
        key = (line.is_return, line.item, line.amount or Decimal(0))
        if line.voided:
            continue
        if repeated[key]:
            repeated[key] -= 1
            continue
        left.append(line)
    return left


def _line(line: Element, item: Element) -> Line:
    is_return = item.tag in RETURNS
    negative = (content(item, "Quantity") or "").startswith("-")
    amount = _amount(item, negative=negative)
    link = next((found for holder in (item, line) for found in holder if found.tag in _LINKS), None)
    return Line(
        item=content(item, "ItemID") or content(item, "POSIdentity", "POSItemID"),
        amount=amount,
        is_return=is_return,
        taken_back=is_return or negative or (link is not None and amount is not None and amount < 0),
        voided=is_voided(line),
        link=link,
    )


def _amount(item: Element, *, negative: bool) -> Decimal | None:
    extended = _decimal(content(item, "ExtendedAmount"))
    if extended is None:
        return None
    on_top = (
        _decimal(content(tax, "Amount")) or Decimal(0)
        for tax in children(item, "Tax")
        if attribute(child(tax, "TaxableAmount"), "TaxIncludedInTaxableAmountFlag") == "false"
    )
    size = abs(extended) + sum(map(abs, on_top), Decimal(0))
    return -size if negative or extended < 0 else size


def _decimal(spelled: str | None) -> Decimal | None:
    try:
        return values.amount(spelled)
    except ValueError:
        return None


def _is_yes(spelled: str | None) -> bool:
    try:
        return values.flag(spelled)
    except ValueError:
        return False
