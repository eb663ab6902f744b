"""A sale as a pydantic model, for the peers that are servers: they validate too, as any real one would."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from pydantic import BaseModel


class PlainCustomer(BaseModel):
    """Who bought."""

    memberId: str | None = None  # noqa: N815 - the wire's name
    externalId: str | None = None  # noqa: N815 - the wire's name
    email: str | None = None


class PlainSale(BaseModel):
    """What `POST /v1/sales` takes, as far as a peer looks at it."""

    externalOrderId: str  # noqa: N815 - the wire's name
    customer: PlainCustomer
    totalAmount: Decimal  # noqa: N815 - the wire's name
    storeId: str | None = None  # noqa: N815 - the wire's name
    businessDate: date | None = None  # noqa: N815 - the wire's name
    transactionId: str | None = None  # noqa: N815 - the wire's name
    occurredAt: datetime | None = None  # noqa: N815 - the wire's name
    metadata: dict[str, object] = {}
