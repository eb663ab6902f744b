"""What becomes of one Transaction: whether it earns at all, and then sale, return, exchange or post-void."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from agent.adapters import values
from agent.adapters.base import Item, Site, Skipped, make, named, nothing_refunded
from agent.adapters.poslog.customers import customer_of
from agent.adapters.poslog.identity import Identity, Naming, naming_of
from agent.adapters.poslog.lines import has_items, lines_of
from agent.adapters.poslog.links import PostVoid, post_void_of, return_link, status_of
from agent.adapters.poslog.options import PoslogOptions, is_one_of, plain_code
from agent.adapters.poslog.settling import Settled, settle
from agent.adapters.poslog.totals import Total, total_of
from agent.adapters.xml_documents import attribute, children, content
from agent.fields import minor_units
from agent.model import Refund, Sale

_TIMES = ("EndDateTime", "BeginDateTime", "ReceiptDateTime", "POSLogDateTime")
_CONTROL = frozenset({"ControlTransaction", "TenderControlTransaction", "InventoryControlTransaction"})
_IDLE_FLAGS = (
    ("CancelFlag", "cancelled", "It was cancelled"),
    ("VoidedFlag", "voided", "It was voided"),
    ("VoidFlag", "voided", "It was voided"),
    ("PostVoidedFlag", "voided", "It was voided afterwards"),
    ("SuspendFlag", "suspended", "It was suspended, and the basket that resumes it earns"),
    ("SuspendedFlag", "suspended", "It was suspended, and the basket that resumes it earns"),
)


@dataclass(frozen=True, slots=True)
class Frame:
    """What is the same for all that becomes of one transaction."""

    transaction: Element
    basket: Element
    own: Identity
    place: str
    options: PoslogOptions
    site: Site

    def skipped(self, code: str, reason: str, *, fault: bool = False) -> Skipped:
        return Skipped(code, reason, self.place, fault=fault)


def items_of(transaction: Element, own: Identity, place: str, options: PoslogOptions, site: Site) -> Iterator[Item]:
    """Every item of one transaction; raises ValueError where a value in it is unsound."""
    baskets = children(transaction, "RetailTransaction")
    filled = [basket for basket in baskets if children(basket, "LineItem") or children(basket, "Total")]
    frame = Frame(transaction, (filled or baskets or [transaction])[0], own, place, options, site)
    if _is_set("TrainingModeFlag", transaction, frame.basket):
        yield frame.skipped("training", "It was rung up in training mode.")
        return
    parts = [*baskets, *children(transaction, "ControlTransaction")]
    post_void = post_void_of(transaction, parts, options)
    if post_void is not None:
        yield from _voided_sales(frame, post_void)
    elif not baskets:
        yield _no_basket(frame)
    elif idle := _idle(frame):
        yield idle
    elif not filled:
        yield frame.skipped("blank", "It is blank: no lines and no totals.")
    elif len(filled) > 1:
        reason = (
            "It holds several baskets under one number, so that they cannot be told apart. Enter their sales by hand."
        )
        yield frame.skipped("several-baskets", reason, fault=True)
    else:
        yield from _closed_basket(frame)


def _no_basket(frame: Frame) -> Skipped:
    if any(part.tag in _CONTROL for part in frame.transaction):
        return frame.skipped("control", "It is a control transaction, such as a sign-on or a till count.")
    reason = "It is no RetailTransaction but of another kind, such as a customer's order, which is not taken."
    return frame.skipped("other-transaction", reason)


def _idle(frame: Frame) -> Skipped | None:
    """Why a basket earns nothing whatever is in it; None where it may earn."""
    for flag, code, reason in _IDLE_FLAGS:
        if _is_set(flag, frame.transaction, frame.basket):
            return frame.skipped(code, f"{reason}.")
    status = status_of(frame.basket)
    if status is None or is_one_of(status, frame.options.earning_statuses):
        return None
    if is_one_of(status, frame.options.idle_statuses):
        code, reason = _idle_status(plain_code(status))
        return frame.skipped(code, reason)
    reason = (
        "Its TransactionStatus is in neither list of [adapters.poslog]: add it to earning_statuses or idle_statuses, "
        "then send the document again."
    )
    return frame.skipped("unknown-status", reason, fault=True)


def _idle_status(status: str) -> tuple[str, str]:
    if status.startswith("suspend"):
        return "suspended", "Its status is that of a suspended basket; the one that resumes it earns."
    if "void" in status:
        return "voided", "Its status says that it was voided."
    if status.startswith("cancel"):
        return "cancelled", "Its status says that it was cancelled."
    return "unfinished", "Its status is not that of a closed basket."


def _is_set(flag: str, *holders: Element) -> bool:
    said = [attribute(holder, flag) or content(holder, flag) for holder in holders]
    return any(named(flag, values.flag, each) for each in said)


def _voided_sales(frame: Frame, post_void: PostVoid) -> Iterator[Item]:
    lines = [line for basket in children(frame.transaction, "RetailTransaction") for line in lines_of(basket)]
    only_returns = bool(lines) and all(line.is_return for line in lines)
    if not post_void.links and not only_returns:
        yield frame.skipped("post-void-without-sale", "It is a post-void that does not name the sale it reverses.")
        return
    if not only_returns:
        naming = naming_of(frame.own, frame.options)
        for link in post_void.links:
            # A sale is voided on its own business day, which some tills therefore leave out of the link.
            yield _refund(frame, naming, naming.of_link(link, same_day=True), {"reason": "post-void"})
    if only_returns or any(line.taken_back and line.link is not None for line in lines):
        reason = "It voids a return, and points once taken back are not given again. Correct them by hand."
        yield frame.skipped("post-void-of-return", reason, fault=True)


def _closed_basket(frame: Frame) -> Iterator[Item]:
    total = total_of(frame.transaction, frame.basket, frame.options)
    if total is None:
        reason = "None of the totals looked for is in it. Name the TotalType that is paid in [adapters.poslog] totals."
        yield frame.skipped("no-total", reason, fault=True)
        return
    naming = naming_of(frame.own, frame.options)
    places = minor_units(total.currency or frame.site.currency)
    whole = return_link(frame.transaction, frame.basket, frame.options)
    settled = settle(frame.basket, whole, total.amount, places, naming)
    if settled.sold is not None:
        yield _sale(frame, naming, total, settled)
    for order_id, amount in settled.refunds.items():
        fields = {"amount": amount, "currency": total.currency, "reason": "return"}
        yield _refund(frame, naming, order_id, fields)
    if settled.unlinked:
        yield frame.skipped("return-without-sale", "It takes back items and does not name the sale they were of.")
    elif settled.sold is None and not settled.refunds:
        yield nothing_refunded(frame.place)


def _sale(frame: Frame, naming: Naming, total: Total, settled: Settled) -> Item:
    customer = customer_of(frame.transaction, frame.basket, frame.options)
    if customer is None:
        return frame.skipped("no-customer", "The receipt shows no member.")
    if (money_alone := _money_alone(frame)) is not None:
        return money_alone
    fields = {
        "externalOrderId": naming.order_id,
        "customer": customer,
        "currency": total.currency,
        "totalAmount": settled.sold,
        "businessDate": frame.own.business_date,
        "transactionId": frame.own.transaction_id or content(frame.transaction, "SequenceNumber"),
        "occurredAt": _occurred_at(frame.transaction),
    }
    return make(Sale, fields, frame.place, frame.site, sold_at=(frame.own.store,))


def _money_alone(frame: Frame) -> Skipped | None:
    """Why a basket is no sale in whose lines there is no item: what an account is paid for has earned already."""
    chosen = frame.options.baskets_without_items
    if chosen or not children(frame.basket, "LineItem") or has_items(frame.basket):
        return None
    reason = (
        "None of its lines has an item: money was paid in, such as a payment on an account or a deposit, and what it "
        "pays for earns by itself. Say so in [adapters.poslog]: baskets_without_items = false; or true, where your "
        "tills write no lines of items."
    )
    return frame.skipped("no-items", reason, fault=chosen is None)


def _refund(frame: Frame, naming: Naming, order_id: str, given: Mapping[str, object]) -> Item:
    fields = {
        "externalOrderId": order_id,
        "refundId": naming.order_id,  # its own transaction's number: one transaction refunds a sale once
        "businessDate": frame.own.business_date,
        "ifKnown": True if customer_of(frame.transaction, frame.basket, frame.options) is None else None,
        **given,
    }
    return make(Refund, fields, frame.place, frame.site)


def _occurred_at(transaction: Element) -> str | None:
    for name in _TIMES:
        try:
            if found := values.moment(content(transaction, name)):
                return found
        except ValueError:
            continue  # nothing depends on it, and real files have times of every shape
    return None
