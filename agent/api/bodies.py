"""What calls take beside the documents that are kept: look-ups, and the orders of operators."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from agent.fields import FLASH_KEY, Email, Id, Origin, Text, TokenName
from agent.model import Customer, Document

DEFAULT_DRILL_S = 600
MAX_DRILL_S = 2 * 3600


def _says_something(reason: str) -> str:
    if not reason.strip():
        raise ValueError("must say why, for the next person who looks")
    return reason


def _check_flash_key(key: SecretStr) -> SecretStr:
    if not FLASH_KEY.fullmatch(key.get_secret_value()):
        raise ValueError("must be 8 to 512 printable characters without blanks, such as fl_live_…")
    return key


Reason = Annotated[Text, AfterValidator(_says_something)]


class Close(Document, defer_build=True):
    """An operator's word on a redemption (a credit is settled, a failed one burned the coupon or not), or a catalog.

    A catalog's rows that Flash did not take are left as they are, until they say something else.
    """

    reason: Reason
    burned: bool | None = Field(default=None, strict=True)


class Discard(Document, defer_build=True):
    """Why an operator gives an operation up."""

    reason: Reason


class MemberKeys(Customer, defer_build=True):
    """Whom to forget: one key or more."""


class MemberQuery(Document, defer_build=True):
    """Whom a look-up is about: exactly one key."""

    member_id: Id | None = None
    external_id: Id | None = None
    email: Email | None = None

    @model_validator(mode="after")
    def _needs_one_key(self) -> Self:
        if sum(key is not None for key in (self.member_id, self.external_id, self.email)) != 1:
            raise ValueError("needs exactly one of memberId, externalId and email")
        return self


class DrillOrder(Document, defer_build=True):
    """How long an outage drill lasts, in seconds."""

    seconds: Annotated[int, Field(strict=True, ge=1, le=MAX_DRILL_S)] = DEFAULT_DRILL_S


class FlashKeyOrder(Document, defer_build=True):
    """A Flash key for the till. `force`: it waits even where Flash says no to it now."""

    which: Literal["write", "read"]
    key: Annotated[SecretStr, AfterValidator(_check_flash_key)]
    force: Annotated[bool, Field(strict=True)] = False


class TokenOrder(Document, defer_build=True):
    """A token for one client: what it may do, and in whose pages alone it is good."""

    name: TokenName
    scope: Literal["register", "operator"] = "register"
    origin: Origin | None = None
