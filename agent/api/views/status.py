"""How the agent is: status, health, the drill."""

from typing import Literal

from agent.api.views.answered import Answered
from agent.api.views.exposure import ExposureToday


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


class BegunDrillView(DrillView):
    """The drill that was begun, or goes on so long; `warnings` names fields that were left out."""

    warnings: tuple[str, ...] = ()


class HealthView(Answered):
    """The agent lives, or is ready; where it is not ready there is a problem instead."""

    status: Literal["ok"]
