"""The documents a register sends, as frozen models: what is not one of these is refused with every fault named.

Field names are camelCase outside and snake_case inside. Unknown fields are kept aside (`unknown_fields`) so that a
newer register loses no sale on an older agent. Amounts are `Decimal` from the wire to the wire. Inputs never appear in
error texts: they may be personal data.
"""

import functools
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, NamedTuple, Self, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from agent.errors import Fault
from agent.fields import (
    EXACT,
    Amount,
    Currency,
    Date,
    Email,
    Id,
    Metadata,
    Moment,
    Text,
    bool_or_absent,
    minor_units,
)

MAX_ATTEMPT = 1000


class Document(BaseModel):
    """Base of everything a register sends. Validate with `context={"currency": …}`, the till's own currency."""

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        alias_generator=to_camel,
        validate_by_name=False,
        validate_by_alias=True,
        serialize_by_alias=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    def unknown_fields(self, prefix: str = "") -> list[str]:
        """Paths of the fields that this version does not know, in the sender's spelling."""
        found = [prefix + name for name in self.__pydantic_extra__ or ()]
        values = self.__dict__
        for name, alias in _fields(type(self)).documents:
            if (value := values[name]) is not None:
                found += value.unknown_fields(f"{prefix}{alias}.")
        return found

    def sent(self) -> dict[str, Any]:
        """The known fields that were given, camelCase, amounts as Decimal."""
        fields, values, given = _fields(type(self)), self.__dict__, self.__pydantic_fields_set__
        found = {alias: values[name] for name, alias in fields.all if name in given and values[name] is not None}
        for _, alias in fields.documents:
            if alias in found:
                found[alias] = found[alias].sent()
        return found


class _Fields(NamedTuple):
    """Each field's name here and in the sender's spelling: of all fields, and of those that hold a document."""

    all: tuple[tuple[str, str], ...]
    documents: tuple[tuple[str, str], ...]


@functools.cache
def _fields(model: type[Document]) -> _Fields:
    def holds_document(annotation: Any) -> bool:
        parts = (annotation, *get_args(annotation))
        return any(isinstance(part, type) and issubclass(part, Document) for part in parts)

    named = [(name, field.alias or name, field.annotation) for name, field in model.model_fields.items()]
    return _Fields(
        tuple((name, alias) for name, alias, _ in named),
        tuple((name, alias) for name, alias, annotation in named if holds_document(annotation)),
    )


class Customer(Document):
    """Whom a sale belongs to: one key or more; Flash resolves memberId, then externalId, then email."""

    member_id: Id | None = None
    external_id: Id | None = None
    email: Email | None = None

    @model_validator(mode="after")
    def _needs_a_key(self) -> Self:
        if not (self.member_id or self.external_id or self.email):
            raise ValueError("needs memberId, externalId or email")
        return self

    def subjects(self) -> list[str]:
        """The member subjects that order this operation among others."""
        return member_subjects(self.member_id, self.external_id, self.email)


def member_subjects(member_id: str | None, external_id: str | None, email: str | None) -> list[str]:
    """One subject for each key that is given; e-mails are compared case-folded, everywhere."""
    named = (("memberId", member_id), ("externalId", external_id), ("email", email and email.casefold()))
    return [f"member:{name}:{value}" for name, value in named if value]


def _currency(info: ValidationInfo) -> str:
    """The document's currency, else the till's."""
    own: str | None = info.data.get("currency")
    return own or (info.context or {})["currency"]


class WithAmount(Document):
    """Shared rules of amounts: not more non-zero decimals than the currency has."""

    @staticmethod
    def check_decimals(amount: Decimal, currency: str) -> Decimal:
        """Return the amount; raise ValueError naming the currency otherwise."""
        places = minor_units(currency)
        _, point, decimals = str(amount).partition(".")
        if point and len(decimals) <= places and "E" not in decimals:
            return amount  # as amounts are written nearly always
        if amount != amount.quantize(Decimal(1).scaleb(-places), context=EXACT):
            raise ValueError(f"must have at most {places} decimals in {currency}")
        return amount


class Sale(WithAmount):
    """A closed basket that should earn. `totalAmount` is what earns under the programme's rules; zero is allowed."""

    external_order_id: Id
    customer: Customer
    currency: Currency | None = None  # before the amount, whose check reads it
    total_amount: Amount
    store_id: Id | None = None
    business_date: Date | None = None
    transaction_id: Id | None = None
    occurred_at: Moment | None = None
    lines: list[dict[str, Any]] | None = None
    metadata: Metadata = Field(default_factory=dict)

    @field_validator("total_amount")
    @classmethod
    def _sound(cls, amount: Decimal, info: ValidationInfo) -> Decimal:
        if amount < 0:
            raise ValueError("must not be negative; a return is POST /v1/refunds")
        return cls.check_decimals(amount, _currency(info))


class OrderRef(Document, defer_build=True):
    """Which sale a refund is of, where order numbers repeat: its upstream id, or where and when it was rung up."""

    upstream_order_id: Id | None = None
    store_id: Id | None = None
    till_id: Id | None = None
    business_date: Date | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not (self.upstream_order_id or self.business_date):
            raise ValueError("needs upstreamOrderId, or businessDate with storeId and tillId where they differ")
        return self


class Refund(WithAmount):
    """Money given back for a sale. `amount` absent: what is left of the sale."""

    external_order_id: Id
    refund_id: Id
    currency: Currency | None = None  # before the amount, whose check reads it
    amount: Amount | None = None
    reason: Text | None = None
    order_ref: OrderRef | None = None
    business_date: Date | None = None
    if_known: Annotated[bool, BeforeValidator(bool_or_absent)] = False
    metadata: Metadata = Field(default_factory=dict)

    @field_validator("amount")
    @classmethod
    def _sound(cls, amount: Decimal | None, info: ValidationInfo) -> Decimal | None:
        if amount is None:
            return None
        if amount <= 0:
            raise ValueError("must be above zero; leave it out to refund what is left of the sale")
        return cls.check_decimals(amount, _currency(info))


class Enrollment(Document):
    """A new member, or news of one. Consent is carried only as an explicit yes with the time it was given."""

    email: Email | None = None
    external_id: Id | None = Field(default=None, validate_default=True)
    full_name: Text | None = None
    phone: Annotated[str, Field(strict=True, max_length=64)] | None = None
    marketing_consent_at: Moment | None = None  # before the consent, whose check reads it
    marketing_consent: bool | None = Field(default=None, strict=True)
    metadata: Metadata = Field(default_factory=dict)

    @field_validator("external_id")
    @classmethod
    def _needs_a_key(cls, external_id: str | None, info: ValidationInfo) -> str | None:
        if external_id is None and "email" in info.data and info.data["email"] is None:
            raise ValueError("is needed where there is no email")
        return external_id

    @field_validator("marketing_consent")
    @classmethod
    def _dated(cls, consent: bool | None, info: ValidationInfo) -> bool | None:
        if consent and "marketing_consent_at" in info.data and info.data["marketing_consent_at"] is None:
            raise ValueError("needs marketingConsentAt, the time it was given")
        return consent

    def subjects(self) -> list[str]:
        """The member subjects that later sales of this member follow."""
        return member_subjects(None, self.external_id, self.email)


class Redemption(Document):
    """A coupon to burn for one basket, at tender. A cashier who scans again sends the next `attempt`."""

    coupon_id: Id
    transaction_id: Id
    business_date: Date | None = None
    attempt: Annotated[int, Field(strict=True, ge=1, le=MAX_ATTEMPT)] = 1
    customer: Customer | None = None
    metadata: Metadata = Field(default_factory=dict)


class BasketVoid(Document, defer_build=True):
    """A basket that was voided after a coupon was redeemed in it, or may have been."""

    coupon_id: Id
    transaction_id: Id
    business_date: Date | None = None
    reason: Text | None = None


def warnings_of(unknown: Sequence[str]) -> list[str]:
    """What a sender is told of fields that were left out."""
    return [f"The field {name!r} is unknown to this version and was left out." for name in unknown]


def unknown_faults(unknown: Sequence[str]) -> list[Fault]:
    """The same fields where the sender wants none of them passed over."""
    return [Fault(name, "is unknown to this version") for name in unknown]


# pydantic's own findings in our words; what is missing here keeps its words.
_WORDS = {
    "missing": "is required",
    "string_type": "must be a string",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "bool_type": "must be true or false",
    "literal_error": "must be {expected}",
    "int_type": "must be a whole number",
    "string_too_long": "must have at most {max_length} characters",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}


def faults_of(error: ValidationError) -> list[Fault]:
    """Every fault of a document, by the sender's field names; no input is repeated."""
    found = []
    for item in error.errors(include_url=False, include_input=False):
        path = ".".join(to_camel(str(step)) for step in item["loc"])
        words = _WORDS.get(item["type"], "")
        message = words.format_map(item.get("ctx", {})) or item["msg"].removeprefix("Value error, ")
        found.append(Fault(path, message))
    return found
