"""Commerce (Finance and Operations): a RetailTransaction as a sale or a refund.

The header of a return names the receipt of its sale and nothing else, so that a sale's id is made from its own receipt
number (`RreceiptId`, which is how the system spells it). With `retail_id = "transaction"` the sale must be in the same
document. Amounts of sales are negative there; what contradicts `sale_sign` is a fault, never an award.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from agent.adapters import values
from agent.adapters.base import Item, Site, Skipped, make, named, nothing_refunded
from agent.adapters.dynamics import shapes
from agent.adapters.dynamics.options import DynamicsOptions
from agent.adapters.json_documents import Record
from agent.model import Refund, Sale

ORDERS_EARN = (
    "Sales orders earn here (award = orders), and headquarters may have made one of this transaction, under another "
    'number. If transactions earn, set award = "transactions"; if both do, and no purchase is in both, set '
    "both_earn = true."
)
STATUSES = ("EntryStatus", "TransactionStatus")


def receipts(records: Iterable[Record]) -> Mapping[str, str]:
    """The transaction number of each receipt in a document."""
    pairs = ((record.get("RreceiptId"), record.get("TransactionNumber")) for record in records)
    return {receipt: number for receipt, number in pairs if isinstance(receipt, str) and isinstance(number, str)}


class Transactions:
    """The transactions of one document; `sold` are its `receipts`."""

    def __init__(self, options: DynamicsOptions, site: Site, sold: Mapping[str, str]) -> None:
        self._options = options
        self._site = site
        self._sold = sold

    def items(self, record: Record, place: str) -> list[Item]:
        """What one transaction comes to; raises ValueError naming a field that is unsound."""
        return [self._item(record, place)]

    def _item(self, record: Record, place: str) -> Item:
        if (refusal := self._refusal(record, place)) is not None:
            return refusal
        options = self._options
        if options.award != "transactions" and not options.both_earn:
            raise options.other_kind(ORDERS_EARN)
        own = shapes.text(record, "RreceiptId" if options.retail_id == "receipt" else "TransactionNumber")
        if own is None:
            return Skipped("no-number", "It lacks the number that retail_id chooses as its id.", place, fault=True)
        amount = named(options.retail_amount, values.needed_amount, shapes.at(record, options.retail_amount))
        amount = -amount if options.sale_sign == "negative" else amount
        returned = named("SaleIsReturnSale", values.flag, shapes.at(record, "SaleIsReturnSale"))
        if amount != 0 and (amount < 0) != returned:
            reason = (
                f"The sign of {options.retail_amount} is not that of {'a return' if returned else 'a sale'}. If sales "
                f"are not {options.sale_sign} here, set sale_sign. If the basket gave back more than it sold, enter "
                f"its two parts by hand."
            )
            return Skipped("wrong-sign", reason, place, fault=True)
        if returned:
            return self._refund(record, own, abs(amount), place)
        return self._sale(record, own, abs(amount), place)

    def _refusal(self, record: Record, place: str) -> Skipped | None:
        kind = shapes.text(record, "TransactionType")
        if kind is not None and not values.is_among(kind, self._options.retail_types):
            return Skipped("not-a-sale", "Its TransactionType is none of retail_types.", place)
        status = shapes.text(record, *STATUSES)
        if status is None:
            reason = "It has no EntryStatus (in data entities: TransactionStatus)."
            return Skipped("no-status", reason, place, fault=True)
        if not values.is_among(status, self._options.retail_statuses):
            return Skipped("status", "Its EntryStatus is none of retail_statuses.", place)
        return None

    def _sale(self, record: Record, own: str, amount: Decimal, place: str) -> Item:
        customer = self._customer(record)
        if customer is None:
            return Skipped("no-customer", "It shows no customer.", place)
        fields = {
            "externalOrderId": f"{self._options.retail_id_prefix}{own}",
            "customer": customer,
            "totalAmount": amount,
            "transactionId": shapes.text(record, "TransactionNumber"),
            "occurredAt": shapes.moment(record, "BeginDateTime"),
        }
        store = shapes.text(record, "OperatingUnitNumber")
        return make(Sale, {**fields, **_common(record)}, place, self._site, sold_at=(store,))

    def _refund(self, record: Record, own: str, amount: Decimal, place: str) -> Item:
        sale = shapes.text(record, "RefundReceiptId")
        if sale is None:
            return Skipped("return-without-sale", "It names no RefundReceiptId.", place)
        if self._options.retail_id == "transaction":
            if sale not in self._sold:
                reason = (
                    "Its sale is not in the document, which alone tells the transaction number of a receipt; send both "
                    'in one, or set retail_id = "receipt".'
                )
                return Skipped("sale-not-in-document", reason, place, fault=True)
            sale = self._sold[sale]
        if amount == 0:
            return nothing_refunded(place)
        fields = {
            "externalOrderId": f"{self._options.retail_id_prefix}{sale}",
            "refundId": f"{self._options.retail_id_prefix}{own}",
            "amount": amount,
            "ifKnown": None if self._customer(record) else True,
        }
        return make(Refund, {**fields, **_common(record)}, place, self._site)

    def _customer(self, record: Record) -> dict[str, str] | None:
        for key in self._options.retail_customer_keys:
            if found := self._options.somebody(shapes.text(record, key)):
                return {"externalId": found}
        return None


def _common(record: Record) -> dict[str, Any]:
    return {
        "currency": shapes.text(record, "Currency"),
        "businessDate": shapes.day(record, "businessDate", "BusinessDate", "TransactionDate"),
    }
