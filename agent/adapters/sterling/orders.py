"""One order of Sterling, sale or return, as a record: what both kinds are asked in the same way."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree.ElementTree import Element

from agent.adapters import values
from agent.adapters.base import NotSentError, named
from agent.adapters.json_documents import Record, inner, listed
from agent.adapters.sterling.options import SterlingOptions
from agent.adapters.xml_documents import local_name

SALE, RETURN = "0001", "0003"
_STATUS = re.compile(r"[A-Za-z0-9.]{1,20}", re.ASCII)


def record_of(element: Element) -> dict[str, Any]:
    """An element as the REST services spell it: attributes and children by name, several of one name as a list."""
    record: dict[str, Any] = {local_name(name): value for name, value in element.items()}
    for child in element:
        inside = record_of(child)
        known = record.get(child.tag)
        if isinstance(known, list):
            known.append(inside)
        else:
            record[child.tag] = inside if known is None else [known, inside]
    return record


def text(record: Any, *path: str) -> str | None:
    """A text along a path; raises ValueError naming the field."""
    return named(path[-1], values.text, inner(record, *path))


def lines_of(order: Record) -> list[Record]:
    """An order's lines."""
    return [line for line in listed(inner(order, "OrderLines", "OrderLine")) if isinstance(line, Mapping)]


def statuses_of(line: Record) -> set[str]:
    """Where a line stands; in several places where it was split."""
    found = listed(inner(line, "OrderStatuses", "OrderStatus"))
    return {status for each in found if isinstance(each, Mapping) and (status := text(each, "Status"))}


def is_one_of(status: str, hierarchy: Iterable[str]) -> bool:
    """Whether a status is one of these or below one: `3700.01` is below `3700`; `3700.10` is not below `3700.1`."""
    return any(status == each or status.startswith(f"{each}.") for each in hierarchy)


def standing(order: Record, options: SterlingOptions) -> set[str]:
    """The least and the furthest status of an order, else its lines'; cancelled ones apart where others are left.

    A line that was cancelled has the furthest status of all, and must not hold back what was shipped.
    """
    least, furthest = text(order, "MinOrderStatus"), text(order, "MaxOrderStatus")
    if least and furthest:
        found = {least, furthest}
    else:
        found = {status for line in lines_of(order) for status in statuses_of(line)}
    kept = {status for status in found if not is_one_of(status, options.cancelled_statuses)}
    return kept or found


def check_standing(order: Record, wanted: Iterable[str], options: SterlingOptions) -> set[str]:
    """Where an order stands; raises NotSentError where that does not count: a draft, held, cancelled, not yet there."""
    if named("DraftOrderFlag", values.flag, order.get("DraftOrderFlag")):
        raise NotSentError("draft", "It is a draft (DraftOrderFlag).")
    if named("HoldFlag", values.flag, order.get("HoldFlag")):
        raise NotSentError("on-hold", "It is on hold (HoldFlag).")
    found = standing(order, options)
    if not found:
        reason = (
            "It says no status. Add MinOrderStatus and MaxOrderStatus, or OrderLine/OrderStatuses, to the output "
            "template."
        )
        raise NotSentError("status-unknown", reason, fault=True)
    if all(is_one_of(status, options.cancelled_statuses) for status in found):
        raise NotSentError("cancelled", f"It was cancelled (status {shown(found)}).")
    if not all(is_one_of(status, wanted) for status in found):
        raise NotSentError("not-there-yet", f"It stands at status {shown(found)}, which does not count yet.")
    return found


def shown(statuses: Iterable[str]) -> str:
    """Statuses as they may stand in a reason: what does not look like one stays out of it."""
    return " to ".join(sorted(status if _STATUS.fullmatch(status) else "?" for status in statuses))


def customer_of(order: Record, options: SterlingOptions) -> dict[str, str] | None:
    """The customer by the first key that the order has; e-mail addresses come in upper case."""
    email, bill_to = (options.somebody(text(order, name)) for name in ("CustomerEMailID", "BillToID"))
    found = {
        "email": ("email", email and email.lower()),
        "bill_to_id": ("externalId", bill_to and options.customer_prefix + bill_to),
    }
    return next(({name: value} for name, value in map(found.__getitem__, options.customer_keys) if value), None)


def order_id(enterprise: str | None, number: str | None, options: SterlingOptions, kind: str = SALE) -> str:
    """Enterprise, document type and number: together they are unique."""
    if number is None:
        raise ValueError("OrderNo is missing")
    enterprise = enterprise or options.enterprise_code
    if not enterprise:
        raise ValueError("EnterpriseCode is missing; where orders never say it, set enterprise_code")
    return f"{options.id_prefix}{enterprise}-{kind}-{number}"


def currency_of(order: Record) -> str | None:
    """The order's currency."""
    return text(order, "PriceInfo", "Currency")


def store_codes(order: Record) -> list[str | None]:
    """What may name the store: the node that ships all lines, the selling organization."""
    nodes = {text(line, "ShipNode") for line in lines_of(order)}
    return [*(nodes if len(nodes) == 1 else ()), text(order, "SellerOrganizationCode")]
