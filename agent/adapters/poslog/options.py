"""What a site may set about its tills' POSLog, `[adapters.poslog]`."""

import string
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import field_validator

from agent.adapters.base import CustomerOptions

ID_FIELDS = ("store", "business_date", "workstation", "sequence", "transaction_id")


class PoslogOptions(CustomerOptions):
    """`[adapters.poslog]`. Statuses and reasons are compared without case and without an extension's prefix (`WN:`)."""

    order_id: str = "{store}-{business_date}-{workstation}-{sequence}"
    """How an order's id is made. Where a document lacks a part of it, its TransactionID is the id."""
    id_prefix: str = ""
    """Stands before each order id and refund id."""
    customer_key: Literal["externalId", "memberId"] = "externalId"
    """What the loyalty number on a receipt is at Flash."""
    member_places: tuple[str, ...] = (
        "LoyaltyAccount/LoyaltyProgram/LoyaltyAccountID",
        "LoyaltyAccount/CustomerID",
        "LoyaltyAccount/LoyaltyCard/PrimaryAccountNumber",
        "LoyaltyMembership/MembershipID",
        "LoyaltyMembership/LoyaltyID",
        "Customer/LoyaltyCardID",
    )
    """Where the loyalty number is, the first that is there; below the basket, the transaction or a line.

    Unless this is set, a number on which Customer and LoyaltyAccount agree comes first."""
    totals: tuple[str, ...] = (
        "TransactionGrandAmount",
        "TransactionNetAmount+TransactionTaxAmount",
        "TransactionAmountTotal",
        "TransactionGrossAmount",
        "TransactionNetAmount",
    )
    """The TotalTypes that may be what was paid, the first that is there; those joined by + are added."""
    earning_statuses: tuple[str, ...] = ("Finished", "Shipped", "Delivered")
    """The values of TransactionStatus that earn, besides none at all."""
    idle_statuses: tuple[str, ...] = (
        "Canceled",
        "Cancelled",
        "Voided",
        "TransactionVoided",
        "PostVoided",
        "Suspended*",
        "InProcess",
        "Projection",
    )
    """The values of TransactionStatus that earn nothing, * for any ending; one in neither list is a fault."""
    void_reasons: tuple[str, ...] = ("Voided", "Void", "PostVoid", "PostVoided")
    """The ReasonCodes of a link to the sale that a post-void reverses."""
    resume_reasons: tuple[str, ...] = ("Resume", "Resumed")
    """The ReasonCodes of a link to the suspended basket that this one continues."""
    baskets_without_items: bool | None = None
    """Whether baskets are sales whose lines hold no item; None: nobody has chosen, and a person must look."""

    @field_validator("order_id")
    @classmethod
    def _known_fields(cls, template: str) -> str:
        there_are = f"there are {{{'}, {'.join(ID_FIELDS)}}}"
        try:
            fields = fields_of(template)
        except ValueError:
            raise ValueError(f"must be a text with fields in braces; {there_are}") from None
        if not set(fields) <= set(ID_FIELDS):
            raise ValueError(f"names a field that there is not; {there_are}")
        if not {"sequence", "transaction_id"} & set(fields):
            raise ValueError("needs {sequence} or {transaction_id}, or every receipt would be the same order")
        return template


def fields_of(template: str) -> list[str]:
    """The names in a template; raises ValueError where it has more than plain names in braces."""
    found = []
    for _, name, spec, conversion in string.Formatter().parse(template):
        if name is not None:
            if spec or conversion or not name.isidentifier():
                raise ValueError("is no plain template")
            found.append(name)
    return found


def plain_code(code: str | None) -> str:
    """A status or reason as it is compared: without case, and without the prefix of an extension."""
    return (code or "").rpartition(":")[2].strip().casefold()


def is_one_of(code: str | None, codes: tuple[str, ...]) -> bool:
    """Whether a status or reason is among those of an option."""
    return any(fnmatchcase(plain_code(code), plain_code(wanted)) for wanted in codes)
