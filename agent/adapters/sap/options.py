"""What a site may set about SAP, `[adapters.sap]`."""

from string import Formatter
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from agent.adapters.base import AwardOptions

RECEIPT_FIELDS = frozenset({"store", "till", "date", "number"})


class SapOptions(AwardOptions):
    """`award` names the one kind of document that earns: two kinds would be two sales of one order or receipt.

    With `both_earn` receipts earn beside billing documents or orders.
    """

    id_prefix: str = "sap-"
    award: Literal["billing", "order", "receipts"] = "billing"
    refund: Literal["either", "return", "credit"] = "either"
    basis: Literal["gross", "net"] = "gross"
    invoice_types: frozenset[str] = frozenset({"F2"})
    complete_statuses: frozenset[str] = frozenset({"C"})
    rejection_statuses: frozenset[str] = frozenset({"A"})
    customer_prefix: str = ""  # before a customer's number, where Flash knows members by more than the number

    partner_categories: frozenset[str] = frozenset({"1", "2"})  # persons and organizations; 3 are groups
    catalog_source: str = "sap"
    product_groups: dict[str, str] = Field(default_factory=dict)  # their names; one without a name is left out
    languages: tuple[str, ...] = ("EN",)  # of a product's title; the first that there is, else any

    receipt_prefix: str = "sap-pos-"
    receipt_id: str = "{store}-{till}-{date}-{number}"
    sale_sign: Literal["-", "+"] = "-"  # VORZEICHEN of an item that is sold
    payment_sign: Literal["", "-", "+"] = ""  # VORZEICHEN of money that is taken; empty: not said
    receipts_without_items: bool = False  # whether they are sales too, by their payments; else they are pay-ins

    @property
    def receipts_earn(self) -> bool:
        """Whether a till's receipts are sales and refunds."""
        return self.both_earn or self.award == "receipts"

    @model_validator(mode="after")
    def _other_known(self) -> Self:
        if self.both_earn and self.award == "receipts":
            raise ValueError('both_earn is for receipts beside award = "billing" or "order": say which')
        return self

    @model_validator(mode="after")
    def _direction_known(self) -> Self:
        if self.receipts_without_items and not self.payment_sign:
            raise ValueError("receipts_without_items needs payment_sign")
        return self

    @field_validator("receipt_id")
    @classmethod
    def _sound_template(cls, template: str) -> str:
        try:
            fields = {name for _, name, form, conversion in Formatter().parse(template) if name is not None}
        except ValueError:
            fields = set()
        if "number" not in fields or not fields <= RECEIPT_FIELDS or "!" in template or ":" in template:
            raise ValueError("must hold {number}, and may hold {store}, {till} and {date}")
        return template
