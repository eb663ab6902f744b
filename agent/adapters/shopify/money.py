"""Shopify's amounts: each may come as a set in two currencies, the shop's (the ledger's) and the customer's."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

from agent.adapters import values
from agent.adapters.base import named
from agent.adapters.json_documents import Record, inner

SHOP, PRESENTMENT = "shop_money", "presentment_money"
NOTHING = Decimal(0)


class Money(NamedTuple):
    """An amount and its currency, where that is told."""

    amount: Decimal
    currency: str | None


def money(record: Any, field: str, side: str = SHOP) -> Money | None:
    """`{field}_set` on one side, else the plain field, which is in the shop's currency; None where it is not there."""
    given = inner(record, f"{field}_set", side)
    if given is not None:
        found = named(f"{field}_set", values.amount, inner(given, "amount"))
        return None if found is None else Money(found, currency_of(inner(given, "currency_code")))
    if side != SHOP:
        return None
    plain = named(field, values.amount, inner(record, field))
    return None if plain is None else Money(plain, None)


def currency_of(value: Any) -> str | None:
    """A currency's code; None for none and for the code that says so."""
    found = named("currency", values.text, value)
    return None if found in {None, "XXX"} else found


def added(records: Iterable[Any], side: str, *fields: str) -> Decimal:
    """The sum of some fields of some records on one side."""
    found = (money(record, field, side) for record in records for field in fields)
    return sum((each.amount for each in found if each is not None), NOTHING)


def shop_currency(records: Iterable[Record], *fields: str) -> str | None:
    """The shop's currency, as the first set among some fields of some records tells it."""
    codes = (inner(record, f"{field}_set", SHOP, "currency_code") for record in records for field in fields)
    return next((code for code in map(currency_of, codes) if code), None)
