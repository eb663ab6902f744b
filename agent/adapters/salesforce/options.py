"""What a site may set about Salesforce, `[adapters.salesforce]`. Statuses are compared in any case."""

from typing import Literal, Self

from pydantic import Field, model_validator

from agent.adapters.base import CustomerOptions


class SalesforceOptions(CustomerOptions):
    """Statuses are an org's own picklists; the defaults are the vendor's. Totals are field names, the first that is
    there; a dot leads into a related record (`OriginalOrder.GrandTotalAmount`).

    `refunds_from`: where nobody has chosen (None), return orders give back, and credit memos are left to a person.
    """

    id_prefix: str = "salesforce-"
    order_id: Literal["id", "number"] = "id"
    sales_from: Literal["either", "order-summaries", "orders"] = "either"
    refunds_from: Literal["return-orders", "credit-memos", "both"] | None = None
    order_summary_statuses: frozenset[str] = frozenset({"Fulfilled"})
    order_statuses: frozenset[str] = frozenset({"Activated"})
    return_order_statuses: frozenset[str] = frozenset({"Closed"})
    credit_memo_statuses: frozenset[str] = frozenset({"Posted"})
    change_order_types: frozenset[str] = frozenset({"Change Order", "Reduction Order"})
    order_summary_totals: tuple[str, ...] = Field(default=("GrandTotalAmount",), min_length=1)
    order_totals: tuple[str, ...] = Field(default=("GrandTotalAmount", "TotalAmount"), min_length=1)
    store_field: str = "SalesStoreId"
    customer_key: Literal["account", "contact", "email"] = "account"
    price_book: str | None = None
    catalog_source: str = "salesforce"

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        if self.order_id == "number" and self.sales_from == "either":
            raise ValueError(
                'order_id = "number" needs sales_from = "orders" or "order-summaries": a summary may have another '
                "number than its order, and both would earn"
            )
        return self
