"""What a site may set about IBM Sterling, `[adapters.sterling]`."""

from typing import Literal

from pydantic import field_validator

from agent.adapters.base import CustomerOptions


class SterlingOptions(CustomerOptions):
    """A status stands for itself and for all below it: `3700` for `3700.01` too. Pipelines are a site's own."""

    id_prefix: str = "sterling-"
    enterprise_code: str = ""  # of orders that do not say theirs
    customer_keys: tuple[Literal["email", "bill_to_id"], ...] = ("email", "bill_to_id")  # the first that an order has
    customer_prefix: str = ""  # before a BillToID, where Flash knows members by more than that
    earning_statuses: frozenset[str] = frozenset({"3700"})  # shipped
    mixed_statuses_earn: bool = False  # whether Min and Max may differ, if both earn
    cancelled_statuses: frozenset[str] = frozenset({"9000"})
    refunding_statuses: frozenset[str] = frozenset({"3950"})  # of a return: its receipt is closed, it is invoiced

    @field_validator("customer_keys")
    @classmethod
    def _some(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        if not keys:
            raise ValueError("must name at least one of email and bill_to_id")
        return keys
