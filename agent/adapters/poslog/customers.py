"""Whom a basket belongs to: a loyalty number from one of many places, a customer number, an e-mail address.

Tills disagree on what stands where. Of two that are common, one writes the programme's name as the CustomerID of the
LoyaltyAccount and the member's card as LoyaltyAccountID; the other the member as CustomerID, and what kinds of points
there are as LoyaltyAccountID, the same for everybody. Hence: a number that the Customer has, too, is the member's, and
a place that holds several numbers names nobody.
"""

from collections.abc import Iterable, Iterator, Sequence
from xml.etree.ElementTree import Element

from agent.adapters.poslog.lines import is_voided
from agent.adapters.poslog.options import PoslogOptions
from agent.adapters.xml_documents import children, content
from agent.fields import check_email

_EMAILS = {"email", "emailaddress"}


def customer_of(transaction: Element, basket: Element, options: PoslogOptions) -> dict[str, str] | None:
    """The keys of a basket's customer, as the local API names them; None for somebody unknown."""
    customers = children(basket, "Customer") + children(transaction, "Customer")
    numbers = [number for customer in customers if (number := options.somebody(content(customer, "CustomerID")))]
    found: dict[str, str] = {}
    if numbers:
        found["externalId"] = numbers[0]
    if member := _member(transaction, basket, numbers, options):
        found[options.customer_key] = member
    emails = (options.somebody(email) for customer in customers for email in _emails(customer))
    if email := next(filter(None, emails), None):
        found["email"] = email
    return found or None


def _member(transaction: Element, basket: Element, numbers: Sequence[str], options: PoslogOptions) -> str | None:
    holders = [basket, transaction, *(line for line in children(basket, "LineItem") if not is_voided(line))]
    if "member_places" not in options.model_fields_set:
        for account in (account for holder in holders for account in children(holder, "LoyaltyAccount")):
            if (agreed := content(account, "CustomerID")) in numbers:
                return agreed
    for path in options.member_places:
        for holder in holders:
            spelled = _texts([holder], path.split("/"))
            there = {number for each in spelled if (number := options.somebody(each.strip()))}
            if len(there) == 1:
                return there.pop()
    return None


def _texts(holders: Iterable[Element], path: Sequence[str]) -> list[str]:
    """All texts along a path, not the first alone."""
    for name in path:
        holders = [found for holder in holders for found in children(holder, name)]
    return [holder.text for holder in holders if holder.text]


def _emails(customer: Element) -> Iterator[str]:
    for element in customer.iter():
        if element.tag.casefold() in _EMAILS and element.text:
            try:
                yield check_email(element.text)
            except ValueError:
                continue  # an empty or half-typed address names nobody
