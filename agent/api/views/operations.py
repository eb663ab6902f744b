"""Operations, redemptions among them, and what an operator made of one."""

from typing import Annotated, Any, Literal

from pydantic import Field

from agent.api.views.answered import Answered


class ErrorView(Answered):
    """Why an operation is not settled, or failed."""

    code: str
    detail: str
    http_status: int | None


class RescuedFrom(Answered):
    """The till that died with an operation, in whose name it is delivered."""

    store_id: str
    till_id: str


class OperationView(Answered):
    """An operation. All keys are always there; clients ignore keys that they do not know.

    But `rescuedFrom`: only what was rescued from another till has it.
    """

    id: str
    href: str
    kind: Literal["sale", "refund", "enrollment", "redemption", "store", "catalog"]
    status: Literal["pending", "succeeded", "declined", "failed", "discarded"]
    accepted_at: str
    settled_at: str | None
    attempts: int
    next_attempt_at: str | None
    waiting_for: list[str]
    idempotency_key: str
    replayed: bool
    warnings: list[str]
    metadata: dict[str, Any]
    request: dict[str, Any]
    upstream_order_id: str | None
    result: dict[str, Any]
    error: ErrorView | None
    receipt: list[str]
    rescued_from: RescuedFrom | None = None


class CouponView(Answered):
    """The coupon as far as the till knows it; unknown fields of Flash's pass through."""

    id: str | None
    code: str | None
    title: str | None
    expires_at: str | None
    status: str | None
    terms: dict[str, Any] | str | int | float | list[Any] | None


class RedemptionView(OperationView):
    """A redemption. The register gives the discount if and only if `honor` is true.

    `basis` is an open list: `flash`, `not-sent`, `unconfirmed`, `offline-policy`, `earlier-redemption`, `voided`.
    """

    honor: bool
    basis: str
    credit: Literal["open", "used", "closed"] | None
    coupon: CouponView


class BasketVoidView(Answered):
    """A voided basket; `credit` tells whether a burned coupon is left to be honored."""

    coupon_id: str
    transaction_id: str
    voided: Literal[True]
    credit: Literal["open", "used", "closed"] | None
    warnings: tuple[str, ...] = ()


class OperationList(Answered):
    """A page of operations, newest first. A page may be short, even empty; `nextCursor` null ends the list."""

    operations: list[OperationView]
    next_cursor: Annotated[str | None, Field(json_schema_extra={"pattern": "^[A-Za-z0-9_-]+$"})]


class Dependent(Answered):
    """An operation that waited for a discarded one, and what becomes of it."""

    id: str
    kind: str
    effect: Literal["discarded", "goes-on"]


class DiscardView(OperationView):
    """The discarded operation, and what becomes of those that depended on it."""

    dependents: list[Dependent]
