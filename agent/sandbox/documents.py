"""What each write accepts, field by field, and what the reads accept as a query.

Orders and refunds carry money, so a field that Flash does not document is refused there: a misspelt `amount`
must not turn a partial refund into a full one. Master data keeps its open end and ignores what it does not
know.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    model_validator,
)
from pydantic.alias_generators import to_camel

from agent.sandbox.assumed import DEFAULT_PAGE, MAX_PAGE


def _identifier(value: str) -> str:
    if not value.strip() or value in {".", ".."} or not value.isprintable():
        raise ValueError("must not be blank, '.', '..' or hold control characters")
    return value


def _email(value: str) -> str:
    local, _, domain = value.strip().partition("@")
    if not local or not domain or "@" in domain or any(c.isspace() for c in value.strip()):
        raise ValueError("must be an e-mail address")
    return value.strip()


def _json_number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("must be a JSON number")  # noqa: TRY004 - pydantic reports only ValueError
    return Decimal(value)


def _instant(value: Any) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    if moment is None or moment.tzinfo is None:
        raise ValueError("must be an ISO 8601 time with an offset")
    return moment


Identifier = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(_identifier)]
Email = Annotated[str, StringConstraints(max_length=254), AfterValidator(_email)]
Text = Annotated[str, StringConstraints(max_length=1000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
Amount = Annotated[
    Decimal, BeforeValidator(_json_number), Field(ge=0, max_digits=14, decimal_places=4, allow_inf_nan=False)
]
Instant = Annotated[datetime, BeforeValidator(_instant)]


class Document(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, frozen=True, hide_input_in_errors=True)


class Exact(Document):
    model_config = ConfigDict(extra="forbid")


class Customer(Exact):
    member_id: Identifier | None = None
    external_id: Identifier | None = None
    email: Email | None = None

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        if not (self.member_id or self.external_id or self.email):
            raise ValueError("one of memberId, externalId and email is needed")
        return self


class OrderBody(Exact):
    external_order_id: Identifier
    customer: Customer
    total_amount: Amount
    store_id: Identifier | None = None
    currency: Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")] | None = None
    occurred_at: Instant | None = None
    lines: list[dict[str, Any]] | None = None


class RefundBody(Exact):
    refund_id: Identifier
    reason: Text | None = None
    amount: Annotated[Amount, Field(gt=0)] | None = None


class MemberBody(Document):
    email: Email | None = None
    external_id: Identifier | None = None
    full_name: Name | None = None
    phone: Text | None = None
    marketing_consent: StrictBool | None = None
    marketing_consent_at: Instant | None = None

    @model_validator(mode="after")
    def _has_a_key(self) -> Self:
        if not (self.external_id or self.email):
            raise ValueError("one of externalId and email is needed")
        return self


class StoreBody(Document):
    name: Name
    external_id: Identifier
    city: Text | None = None


class StoreChange(Document):
    name: Name | None = None
    external_id: Identifier | None = None
    city: Text | None = None


class NoQuery(Exact):
    """A read that takes no parameters."""


class Feed(Exact):
    """Parameters of a changes feed; `cursor` is opaque to the caller."""

    updated_since: Instant | None = None
    cursor: Annotated[str, StringConstraints(max_length=200)] | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE


class MemberQuery(Feed):
    external_id: Identifier | None = None
    email: Email | None = None
