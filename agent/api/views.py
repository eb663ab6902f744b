"""What the API answers, as models. They describe it in the OpenAPI document, which alone loads them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Answered(BaseModel):
    """Base of every answer: camelCase outside, and keys may be added."""

    model_config = ConfigDict(alias_generator=to_camel, serialize_by_alias=True, extra="allow", defer_build=True)


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


class ConditionView(Answered):
    """A fault that holds now."""

    code: str
    severity: Literal["info", "warning", "critical"]
    text: str
    since: str
    mend: str


class DiskView(Answered):
    """The disk of the data directory, in bytes."""

    free_bytes: int
    wal_bytes: int


class RedemptionCounts(Answered):
    """Redemptions that need attention: `lost` were honored offline and refused by Flash later."""

    unconfirmed: int
    credits_open: int
    lost: int


class ExposureFigures(Answered):
    """Coupons honored without Flash's word. Values are sums of those that say what they are worth."""

    count: int
    value: str | None
    unvalued: int
    confirmed: int
    open: int
    lost: int
    lost_value: str | None


class ExposureToday(ExposureFigures):
    """The till's own day."""

    business_date: str


class ExposureLimits(Answered):
    """The settings of `[coupons]`."""

    max_per_day: int
    max_per_member: int
    max_snapshot_age_hours: float
    max_value: str | None


class ExposureOfTill(ExposureFigures):
    """One till's share."""

    till_id: str


class ExposureOfMember(ExposureFigures):
    """One member's share; `member` tells members apart and names nobody."""

    member: str


class ExposedView(Answered):
    """One coupon honored without Flash's word."""

    id: str
    href: str
    status: str
    value: str | None
    lost: bool


class ExposureView(Answered):
    """A day's sheet of coupons honored without Flash's word."""

    business_date: str
    policy: Literal["decline", "limited"]
    limits: ExposureLimits
    total: ExposureFigures
    tills: list[ExposureOfTill]
    members: list[ExposureOfMember]
    redemptions: list[ExposedView]


class DataKeyView(Answered):
    """Which data key seals what is stored now, which older ones are kept, and whether rows are being sealed anew."""

    current: int
    older: list[int]
    resealing: bool
    protected_by: Literal["file", "credentials", "keyring", "dpapi"] | None


class FlashKeySources(Answered):
    """Where each Flash key came from: the settings, a file that they name, a credential, or kept here; or nowhere."""

    write: Literal["setting", "file", "credential", "kept"] | None
    read: Literal["setting", "file", "credential", "kept"] | None


class SpoolFolderView(Answered):
    """A spool folder. `lastTakenAt`: since the start; `problem`: why its files wait, or some of them."""

    adapter: str
    folder: str
    waiting: int
    done_today: int
    failed: int
    last_taken_at: str | None
    problem: str | None


class StatusView(Answered):
    """How the agent is."""

    version: str
    features: list[str]
    connectivity: Literal["online", "offline", "unauthorized", "throttled", "starting"]
    pending: int
    failed: int
    oldest_pending_age_seconds: float | None
    last_success_at: str | None
    last_contact_at: str | None
    clock_skew_seconds: float | None
    disk: DiskView
    store_id: str | None
    till_id: str
    data_key: DataKeyView | None
    flash_keys: FlashKeySources
    conditions: list[ConditionView]
    redemptions: RedemptionCounts
    exposure: ExposureToday
    spool: list[SpoolFolderView]


class DrillView(Answered):
    """Whether an outage drill runs, and when it ends by itself."""

    active: bool
    ends_at: str | None
    seconds_left: int | None


class HealthView(Answered):
    """The agent lives, or is ready; where it is not ready there is a problem instead."""

    status: Literal["ok"]


class FaultView(Answered):
    """One fault of a document."""

    field: str
    message: str


class OperationRef(Answered):
    """Where the operation of a conflict is."""

    id: str
    href: str


class ProblemView(Answered):
    """RFC 9457. `retryable`: send the same again later. `stored` false: nothing was kept."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    stored: bool
    errors: list[FaultView] | None = None
    operation: OperationRef | None = None
