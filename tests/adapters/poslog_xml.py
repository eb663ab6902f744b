"""POSLog as tests write it: one transaction from its parts, and what the adapter makes of it."""

from agent.adapters import registry
from agent.adapters.base import Found, Item, Site, Skipped
from agent.model import Refund, Sale

ADAPTER = registry.adapter("poslog")
MEMBER = "<LoyaltyAccount><CustomerID>LOY-700001</CustomerID></LoyaltyAccount>"
HEAD = (
    "<RetailStoreID>12</RetailStoreID><WorkstationID>4</WorkstationID><SequenceNumber>7</SequenceNumber>"
    "<BusinessDayDate>2026-03-14</BusinessDayDate>"
)
LINK = (
    "<TransactionLink{reason}><RetailStoreID>12</RetailStoreID><WorkstationID>4</WorkstationID>"
    "<SequenceNumber>{sequence}</SequenceNumber><BusinessDayDate>2026-03-13</BusinessDayDate></TransactionLink>"
)


def link(sequence: int = 2, reason: str = "Return") -> str:
    return LINK.format(sequence=sequence, reason=f' ReasonCode="{reason}"' if reason else "")


def sold(amount: str, quantity: str = "1", item: str = "A", flags: str = "", inside: str = "") -> str:
    return _line("Sale", f"<ItemID>{item}</ItemID>{_size(amount, quantity)}{inside}", flags)


def returned(amount: str, quantity: str = "1", item: str = "A", flags: str = "", inside: str = "") -> str:
    return _line("Return", f"<ItemID>{item}</ItemID>{_size(amount, quantity)}{inside}", flags)


def _size(amount: str, quantity: str) -> str:
    return f"<ExtendedAmount>{amount}</ExtendedAmount><Quantity>{quantity}</Quantity>"


def _line(kind: str, item: str, flags: str) -> str:
    return f"<LineItem {flags}><{kind}>{item}</{kind}></LineItem>"


def total(amount: str, kind: str = "TransactionGrandAmount") -> str:
    return f'<Total TotalType="{kind}">{amount}</Total>'


def transaction(*parts: str, head: str = HEAD, member: str = MEMBER, flags: str = "", status: str = "") -> str:
    said = f' TransactionStatus="{status}"' if status else ""
    basket = f"<RetailTransaction{said}>{''.join(parts)}{member}</RetailTransaction>"
    return f"<Transaction {flags}>{head}{basket}</Transaction>"


def parse(*transactions: str, currency: str = "USD", stores: dict[str, str] | None = None, **options) -> list[Item]:
    document = f"<POSLog>{''.join(transactions)}</POSLog>".encode()
    return ADAPTER.parse(
        document,
        registry.options_of("poslog", options),
        Site(currency, stores=stores or {}, others_are_own=stores is None),
    )


def only(items: list[Item]) -> dict:
    """The fields of the one thing that was found."""
    (item,) = items
    assert isinstance(item, Found), item
    return item.document.sent()


def told(items: list[Item]) -> list[str]:
    """Each item in a word: its kind and amount, or the code of its skipping."""
    words = []
    for item in items:
        match item:
            case Found(document=Sale() as sale):
                words.append(f"sale {sale.total_amount}")
            case Found(document=Refund() as refund):
                words.append(f"refund {refund.external_order_id} {refund.amount}")
            case Skipped(code=code):
                words.append(code)
    return words
