"""The sections of the configuration file, and what can be set in each. The README lists them all."""

from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from agent.config.values import (
    BaseUrl,
    CaFile,
    Currency,
    Folders,
    ForeignCurrency,
    Id,
    IdTemplate,
    Language,
    OfflineCoupons,
    Origins,
    Proxy,
    Recipient,
    RefundIdTemplate,
    StoreId,
    Templates,
    TillId,
)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)


class Flash(_Section):
    """The upstream. Times in seconds."""

    base_url: BaseUrl = "https://flash.socialhub.ai/api/v2"
    write_key: SecretStr | None = None
    write_key_file: Path | None = None
    read_key: SecretStr | None = None
    read_key_file: Path | None = None
    proxy: Proxy | None = None  # its address may hold a password
    ca_file: CaFile | None = None
    extended_orders: bool = False
    attempt_timeout_s: float = Field(default=8.0, gt=0, le=60)


class Store(_Section):
    """Where this till stands."""

    store_id: StoreId | None = None
    till_id: TillId = "till-1"
    currency: Currency = "USD"
    language: Language = "en"


class Api(_Section):
    """The localhost API."""

    port: int = Field(default=8455, ge=0, le=65535)
    allowed_origins: Origins = ()
    open_metrics: bool = False
    max_body_bytes: int = Field(default=256 * 1024, ge=4096, le=16 * 1024 * 1024)
    max_connections: int = Field(default=512, ge=16, le=10_000)


class Orders(_Section):
    """How upstream ids are made where order numbers repeat."""

    id_template: IdTemplate = "{external_order_id}"
    refund_id_template: RefundIdTemplate = "{refund_id}"

    @property
    def dated(self) -> bool:
        """Whether an order's id needs its business date."""
        return "{business_date}" in self.id_template

    @property
    def refunds_dated(self) -> bool:
        """Whether a refund's id needs the refund's own business date."""
        return "{business_date}" in self.refund_id_template


class Coupons(_Section):
    """What a coupon is worth while Flash cannot be asked."""

    offline: OfflineCoupons = "decline"
    key_age_h: float = Field(default=24.0, gt=0, le=24 * 30)  # how long Flash remembers an idempotency key
    # `limited` alone:
    max_snapshot_age_h: float = Field(default=24.0, gt=0, le=24 * 30)
    max_per_day: int = Field(default=20, ge=0)
    max_per_member: int = Field(default=1, ge=0)
    max_value: Decimal | None = Field(default=None, ge=0)


class Receipt(_Section):
    """The lines for receipts."""

    templates_file: Templates | None = None
    negotiate: bool = True


class Members(_Section):
    """Look-ups, and what the till remembers of members."""

    lookup_budget_ms: int = Field(default=800, ge=50, le=10_000)  # how long a cashier waits for Flash at the most
    fresh_s: float = Field(default=30.0, ge=0, le=3600)
    not_found_s: float = Field(default=10.0, ge=0, le=600)
    max_age_days: int = Field(default=180, ge=1, le=3650)  # since the till last met the member
    max_members: int = Field(default=100_000, ge=1, le=10_000_000)
    hold_all: bool = False
    sync_minutes: int = Field(default=15, ge=0, le=24 * 60)  # 0: only when told to


class Relay(_Section):
    """How the backlog is sent. The defaults suit a till; benchmarks and tests change them."""

    max_in_flight: int = Field(default=8, ge=1, le=8)
    batch_size: int = Field(default=100, ge=1, le=100)
    start_jitter_s: float = Field(default=2.0, ge=0, le=300)
    hold_probe_s: float = Field(default=60.0, gt=0, le=3600)
    order_wait_h: float = Field(default=72.0, gt=0, le=24 * 30)


class Storage(_Section):
    """How long things are kept on the till."""

    retention_days: int = Field(default=30, ge=1, le=3650)
    tombstone_days: int = Field(default=400, ge=30, le=3650)


class Documents(_Section):
    """Documents of other systems: what all adapters share."""

    max_bytes: int = Field(default=16 * 1024 * 1024, ge=4096, le=256 * 1024 * 1024)  # of one that is posted
    currencies: tuple[ForeignCurrency, ...] = ()  # sent as they stand, besides the till's
    stores: dict[str, Id] = Field(default_factory=dict)  # their code → Flash's id
    unknown_stores: Literal["refuse", "own"] = "refuse"  # own: a code that is not in stores is the till's own store
    push_members: bool = False  # else customers are only resolved when they buy


class Spool(_Section):
    """Folders into which other systems put their documents."""

    folders: Folders = Field(default_factory=dict)  # by adapter
    settle_s: float = Field(default=2.0, gt=0, le=600)  # a file that has not changed for so long is complete
    patience_s: float = Field(default=60.0, ge=0, le=3600)  # and one that ends too early is failed after so long
    poll_s: float = Field(default=60.0, ge=1, le=3600)  # how often to look where no event tells of a file
    keep_done_days: int = Field(default=30, ge=0, le=3650)


class Keys(_Section):
    """What protects the files in which keys are kept, besides their mode."""

    store: Literal["auto", "file", "credentials", "keyring", "dpapi"] = "auto"
    recovery: Recipient | None = None  # who can open them without this machine


class Log(_Section):
    """Logging to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "json"
