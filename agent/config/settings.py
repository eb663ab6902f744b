"""All sections as one, frozen, and what is read by way of them: the Flash keys and the words of receipts.

Made by `load`; in tests and for the demo by `Settings.isolated`. Everything else is handed one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from agent import plainfile
from agent.config.places import ENV_PREFIX
from agent.config.sections import (
    Api,
    Coupons,
    Documents,
    Flash,
    Keys,
    Log,
    Members,
    Orders,
    Receipt,
    Relay,
    Spool,
    Storage,
    Store,
)
from agent.errors import ConfigError
from agent.fields import FLASH_KEY
from agent.receipt.templates import read_own
from agent.receipt.wording import Wordings


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
                key = SecretStr(plainfile.read(path, follow=True).decode("utf-8-sig").strip())
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or "it is not UTF-8"
                raise ConfigError(
                    f"[flash] {which}_key_file {path} cannot be read: {reason}. Name a plain file that holds the key "
                    "and nothing else, which the agent's own account may read."
                ) from None
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
