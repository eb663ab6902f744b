"""What a site may set about Dynamics 365, `[adapters.dynamics]`."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from agent.adapters.base import AwardOptions


class DynamicsOptions(AwardOptions):
    """The first settings are of Customer Engagement (Dataverse), those that begin with `retail_` of Commerce.

    `award` names what earns: salesorders, or Commerce's transactions, of which headquarters make sales orders.
    Status codes are spelled as the documents spell them, numbers as text; names of statuses and types in any case.
    """

    award: Literal["orders", "transactions"] = "orders"
    id_prefix: str = "dynamics-"
    order_id: Literal["id", "number"] = "id"
    earning_states: frozenset[str] = frozenset({"3", "4"})
    partial_statuses: frozenset[str] = frozenset({"100002"})
    customer_key: Literal["id", "email"] = "id"
    currencies: Mapping[str, str] = Field(default_factory=dict)
    catalog_source: str = "dynamics"

    retail_id_prefix: str = "dynamics-retail-"
    retail_id: Literal["receipt", "transaction"] = "receipt"
    retail_statuses: frozenset[str] = frozenset({"2", "3", "Posted", "Concluded"})
    retail_types: frozenset[str] = frozenset({"2", "Sales"})
    retail_amount: Literal["GrossAmount", "NetAmount", "PaymentAmount"] = "GrossAmount"
    retail_customer_keys: tuple[Literal["CustomerAccount", "LoyaltyCardId"], ...] = ("CustomerAccount", "LoyaltyCardId")
    sale_sign: Literal["negative", "positive"] = "negative"
