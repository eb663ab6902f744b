"""What `GET /v1/summary` answers."""

from pydantic import Field

from agent.api.views.answered import Answered


class FigureView(Answered):
    """How many, and by currency what they sum to (decimal strings); null once retention has stripped the day."""

    count: int
    amounts: dict[str, str] | None


class MoneyView(FigureView):
    """All but the discarded, then by status."""

    pending: FigureView
    succeeded: FigureView
    declined: FigureView
    failed: FigureView
    discarded: FigureView


class SalesView(MoneyView):
    """`notAMember` are part of `succeeded`; null once retention has stripped the day."""

    not_a_member: FigureView | None


class RefundsView(MoneyView):
    """`withoutAmount`: so many name no amount (all that was left of a sale unknown here); no sum has them."""

    without_amount: int


class PointsView(Answered):
    """As Flash said."""

    awarded: int
    clawed_back: int


class EnrollmentsView(Answered):
    """All but the discarded, then by status; by the local day of their acceptance."""

    count: int
    pending: int
    succeeded: int
    declined: int
    failed: int
    discarded: int


class OfflineView(Answered):
    """Coupons honored without Flash's word, and those that Flash refused later: the store's loss.

    Values are decimal strings in `currency`; `unvalued` and `lostUnvalued` do not say what they are worth.
    """

    count: int
    value: str
    unvalued: int
    lost: int
    lost_value: str
    lost_unvalued: int
    currency: str


class CreditsView(Answered):
    """What became of coupons of that day that were burned and not honored; `openInAll`: of whatever day."""

    open: int
    used: int
    closed: int
    open_in_all: int


class WithoutSaleView(Answered):
    """Redemptions honored in a basket of which no sale was accepted, and the first 50 of their operations."""

    count: int
    operations: list[str]


class RedemptionsView(Answered):
    """Coupons of that day. `unconfirmed`: perhaps burned, and not known yet."""

    honored: int
    honored_by_basis: dict[str, int]
    not_honored: int
    not_honored_by_basis: dict[str, int]
    unconfirmed: int
    offline: OfflineView
    credits: CreditsView
    without_sale: WithoutSaleView


class LocalDayView(Answered):
    """From when to before when operations without a business date were put into the day."""

    begin: str = Field(alias="from")
    end: str = Field(alias="to")


class SummaryView(Answered):
    """A day in numbers.

    `complete` false: contents are missing, by retention (`stripped`), with their member (`forgotten`) or by a damaged
    disk (`unreadable`); the latter two are in no sum. `undated`: so many sales, refunds and redemptions have no
    business date and count by their acceptance.
    """

    business_date: str
    store_id: str | None
    till_id: str
    as_of: str
    local_day: LocalDayView
    complete: bool
    stripped: int
    forgotten: int
    unreadable: int
    undated: int
    sales: SalesView
    refunds: RefundsView
    points: PointsView | None
    enrollments: EnrollmentsView
    redemptions: RedemptionsView
