"""How what this till sent and what Flash has may differ: each with its meaning, and the mend for a store's IT."""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Which difference; stable."""

    MISSING = "missing"
    AMOUNT = "amount-differs"
    REFUND_MISSING = "refund-missing"
    LANDED_FAILED = "landed-failed"
    LANDED_DISCARDED = "landed-discarded"
    REFUND_LANDED = "refund-landed"
    POINTS = "points-differ"
    LANDED_PENDING = "landed-pending"
    REFUND_LANDED_PENDING = "refund-landed-pending"
    REFUNDED_ELSEWHERE = "refunded-elsewhere"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a difference means and what to do. `look`: a person must."""

    look: bool
    text: str
    mend: str


MEANINGS = {
    Code.MISSING: Meaning(
        True,
        "Flash confirmed the sale to this till, and its feed does not have it.",
        "Run this again in a few minutes. If it stays: give order number and operation to Flash's support; the till "
        "does not send it again by itself. If these are no members' sales and all of them are missing, Flash's feed "
        "leaves those out.",
    ),
    Code.AMOUNT: Meaning(
        True,
        "Flash has the order with another amount. The first to arrive stands, for orders are immutable.",
        "Find out which amount is right, and whether an order number was given twice (then see [orders] id_template). "
        "If the operation failed, discard it with that reason.",
    ),
    Code.REFUND_MISSING: Meaning(
        True,
        "Flash confirmed refunds to this till, and shows less refunded: too many points stayed with the member.",
        "Run this again in a few minutes. If it stays: give order number and operation to Flash's support.",
    ),
    Code.LANDED_FAILED: Meaning(
        True,
        "The sale failed here and counts in Flash: an attempt whose answer was lost has landed, or another way in sent "
        "it.",
        "flash-agent operations retry OPERATION: Flash recognises the order and counts it once.",
    ),
    Code.LANDED_DISCARDED: Meaning(
        True,
        "The sale was discarded here and counts in Flash.",
        "If it was no sale, take it back in Flash; if it was, nothing is to be done.",
    ),
    Code.REFUND_LANDED: Meaning(
        True,
        "Flash shows more refunded than it confirmed to this till, and a refund of this order failed or was discarded "
        "here: it may have landed all the same.",
        "If it failed: flash-agent operations retry OPERATION; Flash counts a refund number once. If it was discarded: "
        "correct it in Flash.",
    ),
    Code.POINTS: Meaning(
        True,
        "Flash shows other points for the sale than it told this till, and the customer's receipt says what it told.",
        "Ask Flash's support, with order number and operation, whether the points were corrected.",
    ),
    Code.LANDED_PENDING: Meaning(
        False,
        "The sale is in Flash and this till has no word of it yet: the answer was lost, or is on its way.",
        "Nothing: it is sent again under the same key, counts once, and settles. If it stays pending, see flash-agent "
        "status.",
    ),
    Code.REFUND_LANDED_PENDING: Meaning(
        False,
        "A refund seems to be in Flash, and this till has no word of it yet.",
        "Nothing: it is sent again under the same key, counts once, and settles.",
    ),
    Code.REFUNDED_ELSEWHERE: Meaning(
        False,
        "Flash shows more refunded than this till sent: another till or another way in refunded it too.",
        "Nothing, unless nobody else takes this store's goods back: then look the order up in Flash.",
    ),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference. `here` and `flash` are what either side has, as people read it; None: nothing."""

    code: Code
    order_id: str
    here: str | None
    flash: str | None
    operation_id: str | None
    updated_at: str | None
    detail: str = ""

    @property
    def look(self) -> bool:
        """Whether a person must look at it."""
        return MEANINGS[self.code].look

    def as_json(self) -> dict[str, object]:
        """As `--json` and `--report` show it."""
        meaning = MEANINGS[self.code]
        return {
            "code": self.code.value,
            "look": self.look,
            "upstreamOrderId": self.order_id,
            "here": self.here,
            "flash": self.flash,
            "operation": self.operation_id,
            "updatedAt": self.updated_at,
            "detail": self.detail or None,
            "meaning": meaning.text,
            "mend": meaning.mend,
        }
