"""The settings: TOML file, then environment, then flags; loaded once, and refused whole when anything is off.

An unknown or malformed setting stops the start with its name and the mend, for a misspelt `id_template` that is
silently ignored costs a store its points. Called by the commands; everything else is handed the frozen `Settings`.
"""

import json
import os
import re
import ssl
import string
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from agent.errors import ConfigError
from agent.fields import FLASH_KEY, check_currency, check_id, check_origin
from agent.receipt import LANGUAGES
from agent.receipt.negotiation import supported
from agent.receipt.templates import read_own
from agent.receipt.wording import Wordings

APP_NAME = "flash-agent"
ENV_PREFIX = "FLASH_AGENT_"
ADAPTERS = "adapters"  # sections of their own, whose names and settings the adapters know
OUTSIDE_THE_FILE = {"CONFIG", "DATA_DIR"}
_CONFIG = f"{ENV_PREFIX}CONFIG"
ORDER_FIELDS = frozenset({"external_order_id", "store_id", "till_id", "business_date"})
REFUND_FIELDS = ORDER_FIELDS | {"refund_id"}
PACKAGED_CONFIG = Path("/etc") / APP_NAME / "agent.toml"
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True
    )  # as parts of Settings they are built once, not twice


def _check_base_url(value: str) -> str:
    match = re.fullmatch(r"(https?)://(\[[0-9a-fA-F:]+\]|[^/?#@:\s\[\]]+)(:\d{1,5})?(/[^?#\s]*)?", value)
    if not match:
        raise ValueError("must be an address such as https://flash.socialhub.ai/api/v2, without a query or a user")
    scheme, host = match[1], match[2].strip("[]")
    if scheme == "http" and host not in LOOPBACK_HOSTS:
        raise ValueError("must begin with https:// (plain http is for loopback hosts alone)")
    return value.rstrip("/")


_PROXY = re.compile(r"https?://([^/?#@\s]+@)?(\[[0-9a-fA-F:]+\]|[^/?#@:\s\[\]]+)(:\d{1,5})?/?")


def _check_proxy(value: SecretStr) -> SecretStr:
    if not _PROXY.fullmatch(value.get_secret_value()):
        raise ValueError("must be an address such as http://proxy.example.com:3128")
    return value


def _check_ca_file(value: Path) -> Path:
    try:
        ssl.create_default_context(cafile=value)
    except (OSError, ssl.SSLError):
        raise ValueError("must be a readable file of certificates (PEM)") from None
    return value


def _check_language(value: str) -> str:
    if supported(value) is None:
        there_are = ", ".join(LANGUAGES)
        raise ValueError(f"must be one of {there_are}, with a region where that matters, such as de-AT")
    return value


def _check_templates(value: Path) -> Path:
    try:
        read_own(value)
    except ValueError as fault:
        raise ValueError(f"{value}: {fault}") from None
    return value


def _template(fields: frozenset[str], needed: str) -> AfterValidator:
    def check(value: str) -> str:
        try:
            parts = list(string.Formatter().parse(value))
        except ValueError:
            raise ValueError("has unbalanced braces") from None
        names = [name for _, name, _, _ in parts if name is not None]
        if any(spec or conversion for _, _, spec, conversion in parts):
            raise ValueError("must hold plain fields, such as {store_id}")
        if wrong := sorted(set(names) - fields):
            raise ValueError(f"knows no field {wrong[0]!r}; there are {', '.join(sorted(fields))}")
        if needed not in names:
            raise ValueError(f"must contain {{{needed}}}, or every operation would be the same one")
        return value

    return AfterValidator(check)


# What `flash-agent setup` is told is judged by the same rules.
BaseUrl = Annotated[str, AfterValidator(_check_base_url)]
Proxy = Annotated[SecretStr, AfterValidator(_check_proxy)]
CaFile = Annotated[Path, AfterValidator(_check_ca_file)]
Language = Annotated[str, AfterValidator(_check_language)]
StoreId = Annotated[str, Field(min_length=1, max_length=128)]
TillId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._\-]+$")]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Origins = tuple[Annotated[str, AfterValidator(check_origin)], ...]
IdTemplate = Annotated[str, _template(ORDER_FIELDS, "external_order_id")]
RefundIdTemplate = Annotated[str, _template(REFUND_FIELDS, "refund_id")]
OfflineCoupons = Literal["decline", "limited"]


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

    templates_file: Annotated[Path, AfterValidator(_check_templates)] | None = None
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
    currencies: tuple[
        Annotated[str, AfterValidator(check_currency)], ...
    ] = ()  # sent as they stand, besides the till's
    stores: dict[str, Annotated[str, AfterValidator(check_id)]] = Field(default_factory=dict)  # their code → Flash's id
    push_members: bool = False  # else customers are only resolved when they buy


def _check_folders(folders: dict[str, Path]) -> dict[str, Path]:
    """Each is one folder's alone: two adapters in one folder would read each other's files."""
    for name, folder in folders.items():
        if not folder.is_absolute():
            raise ValueError(f"{name} must be a whole path, such as {Path.home().anchor}srv{os.sep}spool{os.sep}{name}")
        for other, theirs in folders.items():
            if other != name and folder.is_relative_to(theirs):
                raise ValueError(f"{name} must have a folder of its own, not that of {other} and none in it")
    return folders


class Spool(_Section):
    """Folders into which other systems put their documents."""

    folders: Annotated[dict[str, Path], AfterValidator(_check_folders)] = Field(default_factory=dict)  # by adapter
    settle_s: float = Field(default=2.0, gt=0, le=600)  # a file that has not changed for so long is complete
    patience_s: float = Field(default=60.0, ge=0, le=3600)  # and one that ends too early is failed after so long
    poll_s: float = Field(default=60.0, ge=1, le=3600)  # how often to look where no event tells of a file
    keep_done_days: int = Field(default=30, ge=0, le=3650)


def _check_recovery(value: str) -> str:
    """Its form; whether it is mistyped is found when it is first used, for that takes a package of its own."""
    if not re.fullmatch(r"age1[02-9ac-hj-np-z]{58}", value):
        raise ValueError("must be what flash-agent rescue keygen printed: age1… and 58 more letters and digits")
    return value


Recipient = Annotated[str, AfterValidator(_check_recovery)]


class Keys(_Section):
    """What protects the files in which keys are kept, besides their mode."""

    store: Literal["auto", "file", "credentials", "keyring", "dpapi"] = "auto"
    recovery: Recipient | None = None  # who can open them without this machine


class Log(_Section):
    """Logging to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "json"


class Settings(BaseSettings):
    """Everything that can be set, by section."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        enable_decoding=True,
    )

    flash: Flash = Flash()
    store: Store = Store()
    api: Api = Api()
    orders: Orders = Orders()
    coupons: Coupons = Coupons()
    receipt: Receipt = Receipt()
    members: Members = Members()
    relay: Relay = Relay()
    storage: Storage = Storage()
    documents: Documents = Documents()
    spool: Spool = Spool()
    adapters: dict[str, dict[str, Any]] = Field(default_factory=dict)  # judged by the adapters themselves
    keys: Keys = Keys()
    log: Log = Log()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is the library's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment above the file; no .env files, no secrets directory."""
        return env_settings, init_settings

    @classmethod
    def isolated(cls, **sections: Mapping[str, Any]) -> "Settings":
        """Settings from these sections alone, whatever the environment says; raises ValidationError."""
        return _Isolated(**sections)  # type: ignore[arg-type]

    def key(self, which: Literal["write", "read"]) -> SecretStr | None:
        """The write or read key, from the setting or from its file; None when none is configured."""
        key: SecretStr | None = getattr(self.flash, f"{which}_key")
        path: Path | None = getattr(self.flash, f"{which}_key_file")
        if key is None and path is not None:
            try:
                key = SecretStr(path.read_text("utf-8-sig").strip())
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or type(error).__name__
                raise ConfigError(f"[flash] {which}_key_file {path} cannot be read: {reason}.") from None
        if key is not None and not FLASH_KEY.fullmatch(key.get_secret_value()):
            raise ConfigError(
                f"[flash] {which}_key does not look like a key: 8 or more printable characters without blanks "
                "are expected, such as fl_live_…"
            )
        return key


class _Isolated(Settings):
    model_config = SettingsConfigDict(defer_build=True)  # what a store runs never needs it

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def wordings_of(settings: Settings) -> Wordings:
    """The words of receipts; raises ConfigError where a store's own are not sound any more."""
    store, receipt = settings.store, settings.receipt
    try:
        own = read_own(receipt.templates_file) if receipt.templates_file else {}
    except ValueError as fault:
        raise ConfigError(f"[receipt] templates_file {receipt.templates_file}: {fault}.") from None
    return Wordings(store.language, store.currency, own, negotiate=receipt.negotiate)


def config_path(named: str | None) -> Path:
    """The configuration file: the one that is named, else the environment's, else the site's."""
    found = named or os.environ.get(_CONFIG)
    return Path(found) if found else default_config_path()


def default_config_path() -> Path:
    """The site-wide configuration file, which the service and the command line share.

    On Linux that is the package's, where its folder is there; else the one of the XDG rules.
    """
    if os.name == "posix" and PACKAGED_CONFIG.parent.is_dir():
        return PACKAGED_CONFIG
    return Path(platformdirs.site_config_dir(APP_NAME, appauthor=False)) / "agent.toml"


def site_data_dir() -> Path:
    """The data directory of the service, whether it is there or not."""
    if os.name == "posix":
        return Path("/var/lib") / APP_NAME
    return Path(platformdirs.site_data_dir(APP_NAME, appauthor=False))


def default_data_dir() -> Path:
    """The site-wide data directory where there is one, else the user's own."""
    site = site_data_dir()
    if site.exists():
        return site
    return Path(platformdirs.user_data_dir(APP_NAME, appauthor=False))


def data_dir(flag: str | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """The data directory: flag, then environment, then the default."""
    chosen = flag or environ.get(f"{ENV_PREFIX}DATA_DIR")
    return Path(chosen).absolute() if chosen else default_data_dir()


def load(config: str | None = None, flags: Mapping[str, Mapping[str, Any]] | None = None) -> Settings:
    """Read the settings; raises ConfigError naming every fault and its mend.

    `flags` are settings by section that override file and environment.
    """
    path = config_path(config)
    table = _read_table(path, must_exist=bool(config or os.environ.get(_CONFIG)))
    unknown, unreadable = list(_unknown(table, path)), [*_unknown_environment(), *_malformed_lists()]
    if unreadable:
        raise ConfigError("\n".join([*unknown, *unreadable]))
    try:
        settings = Settings(**table)
    except ValidationError as error:
        items = [item for item in error.errors(include_input=False) if not unknown or item["type"] != "extra_forbidden"]
        raise ConfigError("\n".join([*unknown, *(_spell(item, path) for item in items)])) from None
    if unknown:
        raise ConfigError("\n".join(unknown))
    settings = _with_flags(settings, flags or {})
    settings.key("write")
    settings.key("read")
    return settings


def _with_flags(settings: Settings, flags: Mapping[str, Mapping[str, Any]]) -> Settings:
    """The settings with those that were given on the command line in their place."""
    changed = {}
    for name, values in flags.items():
        section: BaseModel = getattr(settings, name)
        try:
            changed[name] = type(section).model_validate({**section.model_dump(), **values})
        except ValidationError as error:
            faults = (f"The command line: [{name}] {item['loc'][0]}: {item['msg']}." for item in error.errors())
            raise ConfigError("\n".join(faults)) from None
    return settings.model_copy(update=changed)


def _read_table(path: Path, *, must_exist: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        if must_exist:
            raise ConfigError(f"There is no configuration file {path}. Name another with --config.") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError(f"The configuration file {path} cannot be read: {reason}.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The configuration file {path} is not valid TOML: {error}.") from None


def _names() -> dict[str, list[str]]:
    sections = {}
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            sections[name] = list(section.model_fields)
    return sections


def _no_tables(values: Any) -> list[str]:
    if not isinstance(values, dict):
        return ["NAME"]
    return [name for name, value in values.items() if not isinstance(value, dict)]


def _hint(name: str, known: list[str]) -> str:
    import difflib  # noqa: PLC0415 - for a misspelt name alone

    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {close[0]!r}?" if close else f" There are: {', '.join(known)}."


def _unknown(table: Mapping[str, Any], path: Path) -> Iterator[str]:
    sections = _names()
    for section, values in table.items():
        if section == ADAPTERS:
            yield from (
                f"{path}: adapters must hold sections, written [adapters.{name}]." for name in _no_tables(values)
            )
        elif section not in sections:
            yield f"{path}: unknown section [{section}].{_hint(section, list(sections))}"
        elif not isinstance(values, dict):
            yield f"{path}: {section} must be a section, written [{section}]."
        else:
            for name in values:
                if name not in sections[section]:
                    yield f"{path}: unknown setting [{section}] {name}.{_hint(name, sections[section])}"


def _unknown_environment() -> Iterator[str]:
    sections = _names()
    known = {f"{ENV_PREFIX}{section}__{name}".upper() for section, names in sections.items() for name in names}
    known |= {f"{ENV_PREFIX}{name}" for name in OUTSIDE_THE_FILE}
    for variable in os.environ:
        name = variable.upper()
        of_an_adapter = name.startswith(f"{ENV_PREFIX}{ADAPTERS.upper()}__")
        if name.startswith(ENV_PREFIX) and name not in known and not of_an_adapter:
            yield f"Unknown environment variable {variable}.{_hint(variable.upper(), sorted(known))}"


_IN_JSON: Mapping[str, tuple[type, str]] = {
    "API__ALLOWED_ORIGINS": (list, '["https://pos.example.com"]'),
    "DOCUMENTS__CURRENCIES": (list, '["USD", "CAD"]'),
    "DOCUMENTS__STORES": (dict, '{"0018": "st_18"}'),
    "SPOOL__FOLDERS": (dict, '{"poslog": "/srv/spool/poslog"}'),
}


def _malformed_lists() -> Iterator[str]:
    """Lists and tables in the environment are JSON; the library would say neither which one is wrong nor how."""
    for name, (kind, example) in _IN_JSON.items():
        variable = f"{ENV_PREFIX}{name}"
        value = next((value for given, value in os.environ.items() if given.upper() == variable), None)
        if value is None:
            continue
        try:
            sound = isinstance(json.loads(value), kind)
        except ValueError:
            sound = False
        if not sound:
            yield f"{variable} must be a JSON {'list' if kind is list else 'object'}, such as '{example}'."


def _spell(item: Any, path: Path) -> str:
    section, *rest = (str(step) for step in item["loc"]) if item["loc"] else ("?",)
    name = " ".join([f"[{section}]", *rest[:1]])
    variable = f"{ENV_PREFIX}{'__'.join([section, *rest[:1]]).upper()}"
    message = item["msg"].removeprefix("Value error, ")
    source = variable if variable in {name.upper() for name in os.environ} else str(path)
    return f"{source}: {name}: {message}."
