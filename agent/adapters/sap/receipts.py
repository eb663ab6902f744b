"""The POS inbound IDoc WPUBON: a till's receipts on their way into SAP, read one after another.

A receipt is an E1WPB01 with its items (E1WPB02) and payments (E1WPB06). Its total is what was paid: the payments' sum,
change taken off. SUMME has no sign of its own, VORZEICHEN has it, and what a sign means differs from site to site. So
the direction is taken from the items, whose sign is goods going out (`sale_sign`); the payments give the amount, which
does not depend on how their signs are meant. Only where a receipt has both sold and returned items must the site say
which sign of a payment is money taken (`payment_sign`); once it has, items and payments must agree.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import BinaryIO
from xml.etree.ElementTree import Element

from agent.adapters import values
from agent.adapters.base import Item, NotSentError, Site, Skipped, guarded, make, named, nothing_refunded
from agent.adapters.sap.options import SapOptions
from agent.adapters.sap.terms import member_key
from agent.adapters.xml_documents import children, content, elements
from agent.model import Refund, Sale

CONTROL, RECEIPT = "EDI_DC40", "E1WPB01"
# Segments of the other POS IDocs, which name no single receipt.
_OTHERS = {
    "E1WPU01": "summed sales",
    "E1WPZ01": "a till's closing",
    "E1WPF01": "postings",
    "E1WPG01": "goods movements",
}

OTHERS_EARN = (
    "SAP's own documents earn here (award = {}), and SAP may have made one of this receipt, under another number. If "
    'tills\' receipts earn, set award = "receipts"; if both do, and no purchase is in both, set both_earn = true.'
)
_SEGMENTS = frozenset({CONTROL, RECEIPT, *_OTHERS})
_ROOTS = frozenset({"WPUBON01", "WPUBON02"})


def read(source: BinaryIO, options: SapOptions, site: Site) -> Iterator[Item]:
    """The receipts of an IDoc, in their order."""
    store = None
    for count, element in enumerate(elements(source, _SEGMENTS, _ROOTS), 1):
        if element.tag == CONTROL:
            store = content(element, "SNDPRN")
        elif element.tag == RECEIPT:
            yield from _Receipt(element, store, options, site).items()
        else:
            reason = f"The IDoc holds {_OTHERS[element.tag]}, not receipts; send WPUBON."
            yield Skipped("not-receipts", reason, f"segment {count}, {element.tag}")


class _Receipt:
    """One E1WPB01. `store` is the partner number of the IDoc's sender, which in SAP Retail is the store."""

    def __init__(self, element: Element, store: str | None, options: SapOptions, site: Site) -> None:
        self._element = element
        self._store = _number(store)
        self._options = options
        self._site = site
        self._number, self._till = _number(content(element, "BONNUMMER")), content(element, "KASSID")
        self._place = self._shown()

    def items(self) -> list[Item]:
        """What the receipt comes to."""
        return guarded(self._place, self._items)

    def _items(self) -> Iterator[Item]:
        if not self._options.receipts_earn:
            raise self._options.other_kind(OTHERS_EARN.format(self._options.award))
        if self._number is None:
            raise ValueError("BONNUMMER is missing")
        direction = self._direction()
        total = abs(self._paid())
        if direction == "even":
            yield Skipped("even-exchange", "What was bought and what was brought back are worth the same.", self._place)
        elif direction == "sale":
            yield self._sale(total)
        else:
            yield self._refund(total)

    def _sale(self, total: Decimal) -> Item:
        customer = self._customer()
        if customer is None:
            return Skipped("no-customer", "The receipt names no customer.", self._place)
        fields = {
            "externalOrderId": self._id(self._number),
            "customer": {"externalId": member_key(customer, self._options)},
            "currency": self._currency(),
            "totalAmount": total,
            "businessDate": self._date(),
        }
        return make(Sale, fields, self._place, self._site, sold_at=(self._store,))

    def _refund(self, total: Decimal) -> Item:
        sold = self._returned_receipt()
        if total == 0:
            return nothing_refunded(self._place)
        fields = {
            "externalOrderId": self._id(sold),
            "refundId": self._id(self._number),
            "currency": self._currency(),
            "amount": total,
            "businessDate": self._date(),
            "ifKnown": True if self._customer() is None else None,
        }
        return make(Refund, fields, self._place, self._site)

    def _returned_receipt(self) -> str | None:
        """The number of the receipt that is given back, where that number alone is an id."""
        numbers = {_number(content(item, "REFBONNR")) for item in children(self._element, "E1WPB02")} - {None}
        if len(numbers) != 1:
            reason = "A return of which the items name no receipt (REFBONNR), or several."
            raise NotSentError("return-without-sale", reason)
        if "{till}" in self._options.receipt_id or "{date}" in self._options.receipt_id:
            reason = (
                "It names the receipt that it gives back by number, and receipts are told apart by till and day too. "
                'Where the numbers never repeat, set receipt_id = "{number}" or "{store}-{number}".'
            )
            raise NotSentError("return-without-sale", reason)
        return numbers.pop()

    def _direction(self) -> str:
        """`sale`, `return` or `even`."""
        signs = {content(item, "VORZEICHEN") for item in children(self._element, "E1WPB02")}
        if not signs <= {"-", "+"}:
            raise ValueError("VORZEICHEN of an item must be - or +")
        if not signs and not self._options.receipts_without_items:
            raise NotSentError("no-items", "Nothing was sold on it, money was only paid in or out.")
        if self._options.payment_sign:
            return self._direction_of_money(signs)
        if len(signs) > 1:
            reason = (
                "Some of its items are sold and some returned, so that the payments decide: set payment_sign to the "
                "VORZEICHEN (E1WPB06) of money that is taken."
            )
            raise NotSentError("sign-unknown", reason, fault=True)
        return "sale" if self._options.sale_sign in signs else "return"

    def _direction_of_money(self, signs: set[str | None]) -> str:
        paid = self._paid() if self._options.payment_sign == "+" else -self._paid()
        goods = {"sale" if sign == self._options.sale_sign else "return" for sign in signs}
        if paid == 0:
            return goods.pop() if len(goods) == 1 else "even"
        money = "sale" if paid > 0 else "return"
        if goods and money not in goods:
            reason = "Its items and its payments contradict each other: look at sale_sign and payment_sign."
            raise NotSentError("sign-unknown", reason, fault=True)
        return money

    def _paid(self) -> Decimal:
        """The payments' sum, by their signs; one without a sign counts as it stands."""
        payments = children(self._element, "E1WPB06")
        if not payments:
            raise ValueError("E1WPB06 is missing: the receipt has no payment")
        return sum(map(_signed, payments), Decimal(0))

    def _customer(self) -> str | None:
        customer = _number(content(self._element, "KUNDNR"))
        return None if customer == self._store else self._options.somebody(customer)  # the store buys nothing

    def _currency(self) -> str | None:
        found = {content(payment, "WAEHRUNG") for payment in children(self._element, "E1WPB06")}
        found |= {content(self._element, "BELEGWAERS")}
        found -= {None, *values.NO_CURRENCIES}
        if len(found) > 1:
            raise ValueError("WAEHRUNG differs among its payments, so that they have no sum")
        return found.pop() if found else None

    def _date(self) -> str | None:
        return named("VORGDATUM", values.day, content(self._element, "VORGDATUM"))

    def _id(self, number: str | None) -> str:
        """A receipt's whole id."""
        fields = {"store": self._store, "till": self._till, "date": self._date(), "number": number}
        for name, value in fields.items():
            if value is None and f"{{{name}}}" in self._options.receipt_id:
                raise ValueError(f"{_FIELDS[name]} is missing, which is part of receipt_id")
        return self._options.receipt_prefix + self._options.receipt_id.format_map(fields)

    def _shown(self) -> str:
        date = content(self._element, "VORGDATUM") or "?"
        words = f"receipt {self._number or '?'} of {date}, till {self._till or '?'}, store {self._store or '?'}"
        return words if words.isprintable() and len(words) <= 120 else "a receipt"


_number = values.without_leading_zeros
_FIELDS = {"store": "SNDPRN", "till": "KASSID", "date": "VORGDATUM", "number": "BONNUMMER"}


def _signed(payment: Element) -> Decimal:
    sum_ = named("SUMME", values.needed_amount, content(payment, "SUMME"))
    sign = content(payment, "VORZEICHEN") or "+"
    if sign not in {"-", "+"}:
        raise ValueError("VORZEICHEN of a payment must be - or +")
    return -sum_ if sign == "-" else sum_
