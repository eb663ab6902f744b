"""What Shopify, Amazon and TikTok Shop have in common: Flash has connectors of its own for them.

With both at work an order would be awarded twice, for the two name it differently. So these adapters refuse to start
until the site says that Flash's own one is off.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, field_validator

from agent.adapters.base import CustomerOptions, Skipped
from agent.adapters.json_documents import inner


class ChannelOptions(CustomerOptions):
    """Options of a system with a native connector. `native_connector` has no default on purpose."""

    adapter: ClassVar[str]
    system: ClassVar[str]

    native_connector: str | None = Field(default=None, validate_default=True)

    @field_validator("native_connector", mode="before")
    @classmethod
    def _must_be_off(cls, value: Any) -> Any:
        if value != "off":
            raise ValueError(
                f'must be "off": an order would be awarded twice if Flash\'s own {cls.system} connector is on too. '
                f'Set [adapters.{cls.adapter}] native_connector = "off" once it is switched off in Flash '
                f"(Settings, Channels)"
            )
        return value


def not_a_document(value: Any, system: str) -> Skipped | None:
    """Why a whole answer of the other system holds no record at all: it is an answer that tells of an error."""
    if not isinstance(value, Mapping):
        return None
    failed = value.get("errors") or value.get("code") not in (None, 0)
    if failed and not inner(value, "data") and not inner(value, "payload"):
        reason = (
            f"It is an answer of {system} that tells of an error; ask {system} again and send what it then answers."
        )
        return Skipped("error-answer", reason, "document", fault=True)
    return None
