"""What the members' calls answer."""

from typing import Any, Literal

from agent.api.views.answered import Answered


class ProfileView(Answered):
    """Who a member is. `id` null: enrolled at this till and not confirmed by Flash yet."""

    id: str | None
    external_id: str | None
    email: str | None
    full_name: str | None


class BalanceView(Answered):
    """Flash's balance, and whatever else it tells of points."""

    balance: int


class MemberPendingView(Answered):
    """What Flash has not counted yet. `amount` is that of the sales in the till's currency."""

    sales: int
    amount: str
    refunds: int
    enrollment: bool


class MemberView(Answered):
    """A member. What could not be asked, or is not known, is null and named in `missing`.

    `source`: asked just now, remembered, or enrolled here. `asOf` is when the oldest of it was true; `stale`: Flash
    could not be asked just now.
    """

    member: ProfileView
    points: BalanceView | None
    tier: dict[str, Any] | None
    coupons: list[dict[str, Any]] | None
    source: Literal["flash", "cache", "local"]
    as_of: str
    stale: bool
    missing: list[str]
    pending: MemberPendingView | None
    receipt: list[str]


class ForgottenView(Answered):
    """How much was erased, and how many operations will be once they are settled."""

    snapshots: int
    operations: int
    operations_pending: int
    warnings: tuple[str, ...] = ()


class SyncErrorView(Answered):
    """Why the last run ended early; the next one goes on from there."""

    code: str
    detail: str


class SyncView(Answered):
    """How the members whom this till remembers are kept in step with Flash. Counts are of the last run.

    `kept` of the members `seen` in the feed are remembered here; those met here who changed are `due` until they are
    asked for again (`refreshed`). `watermark`: up to which change the feed was followed.
    """

    state: Literal["idle", "running", "waiting"]
    members: int
    pages: int
    seen: int
    kept: int
    refreshed: int
    due: int
    total: int | None
    watermark: str | None
    started_at: str | None
    finished_at: str | None
    error: SyncErrorView | None
