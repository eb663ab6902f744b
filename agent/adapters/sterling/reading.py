"""Sales orders as sales, return orders as refunds of the orders that their lines were derived from."""

from collections.abc import Iterator
from decimal import Decimal

from agent.adapters import values
from agent.adapters.base import Item, NotSentError, Site, Skipped, make, named, nothing_refunded
from agent.adapters.json_documents import Record, inner
from agent.adapters.sterling import orders
from agent.adapters.sterling.options import SterlingOptions
from agent.model import Refund, Sale

NO_SALE = (
    "Some or all of its lines say no sales order that they were derived from, so that it is unknown what they undo."
)


def of_sale(order: Record, place: str, options: SterlingOptions, site: Site) -> Iterator[Item]:
    """The sale of an order all of which has been shipped."""
    found = orders.check_standing(order, options.earning_statuses, options)
    if len(found) > 1 and not options.mixed_statuses_earn:
        reason = f"It stands at {orders.shown(found)}, not at one status; mixed_statuses_earn = true would count it."
        raise NotSentError("not-there-yet", reason)
    customer = orders.customer_of(order, options)
    if customer is None:
        raise NotSentError("no-customer", "It names no customer by any of customer_keys.")
    fields = {
        "externalOrderId": orders.order_id(
            orders.text(order, "EnterpriseCode"), orders.text(order, "OrderNo"), options
        ),
        "customer": customer,
        "currency": orders.currency_of(order),
        "totalAmount": _total(order),
        "businessDate": named("OrderDate", values.day, order.get("OrderDate")),
        "occurredAt": named("OrderDate", values.moment, order.get("OrderDate")),
    }
    yield make(Sale, fields, place, site, sold_at=orders.store_codes(order))


def _total(order: Record) -> Decimal:
    """The order's own total, tax and charges included; never a sum of lines."""
    found = named("TotalAmount", values.amount, inner(order, "PriceInfo", "TotalAmount"))
    if found is not None:
        return found
    return named("PriceInfo/TotalAmount", values.needed_amount, inner(order, "OverallTotals", "GrandTotal"))


def of_return(order: Record, place: str, options: SterlingOptions, site: Site) -> Iterator[Item]:
    """One refund for each order that the lines come from: the lines' totals, which have tax and discounts in them.

    The header's total is not asked: it also holds what belongs to no line, such as the carriage of the return.
    """
    orders.check_standing(order, options.refunding_statuses, options)
    enterprise = orders.text(order, "EnterpriseCode")
    own = orders.order_id(enterprise, orders.text(order, "OrderNo"), options, orders.RETURN)
    amounts: dict[tuple[str, str], Decimal] = {}
    unlinked = False
    lines = _returned(order, options)
    if not lines:
        reason = "It has no lines, or only cancelled ones. Where it has some, add OrderLines to the output template."
        raise NotSentError("no-lines", reason, fault=not orders.lines_of(order))
    for line in lines:
        sold = _sold(line, enterprise, options)
        if sold is None:
            unlinked = True
        else:
            amounts[sold] = amounts.get(sold, Decimal(0)) + _line_total(line)
    if unlinked:
        yield Skipped("return-without-sale", NO_SALE, place)
    for (sale_id, number), total in amounts.items():
        if total == 0:
            yield nothing_refunded(place)
            continue
        fields = {
            "externalOrderId": sale_id,
            "refundId": f"{own}-{number}",
            "currency": orders.currency_of(order),
            "amount": total,
            "businessDate": named("OrderDate", values.day, order.get("OrderDate")),
            "ifKnown": True if orders.customer_of(order, options) is None else None,
        }
        yield make(Refund, fields, place, site)


def _returned(order: Record, options: SterlingOptions) -> list[Record]:
    """A return's lines without those that were cancelled."""
    found = []
    for line in orders.lines_of(order):
        statuses = orders.statuses_of(line)
        if not statuses or not all(orders.is_one_of(each, options.cancelled_statuses) for each in statuses):
            found.append(line)
    return found


def _sold(line: Record, enterprise: str | None, options: SterlingOptions) -> tuple[str, str] | None:
    """The id and the number of the order that a line was sold with; None where it says no sales order."""
    number = orders.text(line, "DerivedFrom", "OrderNo")
    kind = orders.text(line, "DerivedFrom", "DocumentType") or orders.SALE
    if number is None or kind != orders.SALE:
        return None
    return orders.order_id(orders.text(line, "DerivedFrom", "EnterpriseCode") or enterprise, number, options), number


def _line_total(line: Record) -> Decimal:
    for totals in ("LineOverallTotals", "LinePriceInfo"):
        found = named("LineTotal", values.amount, inner(line, totals, "LineTotal"))
        if found is not None:
            return found
    raise ValueError("LineTotal is missing")
