"""What a site may set about Salesforce, `[adapters.salesforce]`. Statuses are compared in any case."""

from typing import Literal

from pydantic import Field

from agent.adapters.base import Options


class SalesforceOptions(Options):
    """Statuses are an org's own picklists; the defaults are the vendor's. Totals are field names, the first that is
    there; a dot leads into a related record (`OriginalOrder.GrandTotalAmount`)."""

    id_prefix: str = "salesforce-"
    order_id: Literal["id", "number"] = "id"
    sales_from: Literal["either", "order-summaries", "orders"] = "either"
    refunds_from: Literal["either", "return-orders", "credit-memos", "both"] = "either"
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
