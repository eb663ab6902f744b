"""What `GET /v1/flash-orders` answers."""

from typing import Annotated, Literal

from pydantic import Field

from agent.api.views.answered import Answered


class FlashOrderView(Answered):
    """An order as Flash has it; what Flash does not tell is null. Amounts are decimal strings.

    `here`: whether this till has operations of it, with their contents (`kept`) or without any (`stripped`, by
    retention).
    """

    upstream_order_id: str
    total_amount: str | None
    store_id: str | None
    refunded: str | None
    awarded: int | None
    updated_at: str | None
    here: Literal["unknown", "kept", "stripped"]


class FlashOrdersView(Answered):
    """A page of changed orders, oldest change first. `nextCursor` null ends the list.

    `unread` rows had no order id. `total`: how many Flash says there are. `stuckAt`: Flash gives no cursor, and more
    orders than fit on a page changed at that time, so that what follows cannot be read.
    """

    orders: list[FlashOrderView]
    unread: int
    total: int | None
    stuck_at: str | None
    next_cursor: Annotated[str | None, Field(json_schema_extra={"pattern": "^[A-Za-z0-9_-]+$"})]
