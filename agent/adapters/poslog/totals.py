"""What was paid: the first of the totals that a site's tills write, and its currency."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from xml.etree.ElementTree import Element

from agent.adapters import values
from agent.adapters.base import named
from agent.adapters.poslog.options import PoslogOptions
from agent.adapters.xml_documents import attribute, children, content
from agent.fields import MAX_AMOUNT_DIGITS

UNTYPED = "TransactionGrossAmount"  # what a Total is that does not say what it is


@dataclass(frozen=True, slots=True)
class Total:
    """What was paid, negative where money was given back; `currency` None where the document does not say it."""

    amount: Decimal
    currency: str | None


def total_of(transaction: Element, basket: Element, options: PoslogOptions) -> Total | None:
    """The total of a basket; None where there is none of those looked for; raises ValueError where it is no number."""
    totals: dict[str, Element] = {}
    for element in children(basket, "Total"):
        if element.text and element.text.strip():
            totals.setdefault(attribute(element, "TotalType") or UNTYPED, element)
    for wanted in options.totals:
        names = wanted.split("+")
        if all(name in totals for name in names):
            return Total(_sum(totals, names, basket), _currency(totals[names[0]], transaction))
    return None


def _sum(totals: Mapping[str, Element], names: list[str], basket: Element) -> Decimal:
    amount = sum((named(name, _bounded, content(totals[name])) for name in names), Decimal(0))
    flag = content(basket, "NegativeTotalFlag")  # a dialect whose totals have no sign
    return -abs(amount) if named("NegativeTotalFlag", values.flag, flag) else amount


def _bounded(spelled: str | None) -> Decimal:
    amount = values.needed_amount(spelled)
    if amount.adjusted() >= MAX_AMOUNT_DIGITS:  # sharing it out would leave the precision of Decimal
        raise ValueError(f"must have at most {MAX_AMOUNT_DIGITS} digits before the point")
    return amount


def _currency(total: Element, transaction: Element) -> str | None:
    said = (attribute(total, "CurrencyCode"), attribute(total, "Currency"), content(transaction, "CurrencyCode"))
    codes = [code.upper() for code in said if code and re.fullmatch("[A-Za-z]{3}", code)]
    return next((code for code in codes if code not in values.NO_CURRENCIES), None)
