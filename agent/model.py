"""The documents a register sends, as frozen models: what is not one of these is refused with every fault named.

Field names are camelCase outside and snake_case inside. Unknown fields are kept aside (`unknown_fields`) so that a
newer register loses no sale on an older agent. Amounts are `Decimal` from the wire to the wire. Inputs never appear in
error texts: they may be personal data.
"""

import functools
import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Context, Decimal
from typing import Annotated, Any, NamedTuple, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from agent import jsons
from agent.cards import mask_card_numbers
from agent.errors import Fault

MAX_ID_CHARS = 128
MAX_EMAIL_CHARS = 254
MAX_TEXT_CHARS = 1000
MAX_METADATA_BYTES = 4096
MAX_AMOUNT_DIGITS = 12
MAX_AMOUNT_DECIMALS = 40
DEFAULT_DRILL_S = 600
MAX_DRILL_S = 2 * 3600
MAX_ATTEMPT = 1000
REASON_NEEDED = "must say why, for the next person who looks"
_EXACT = Context(prec=MAX_AMOUNT_DIGITS + MAX_AMOUNT_DECIMALS)

# ISO 4217 minor units other than two.
_MINOR_UNITS = {
    code: places
    for places, codes in (
        (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
        (3, "BHD IQD JOD KWD LYD OMR TND"),
        (4, "CLF UYW"),
    )
    for code in codes.split()
}
_COMMON_AMOUNT = re.compile(r"\d{1,9}(\.\d{1,4})?", re.ASCII)
_PLAIN_NUMBER = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?", re.ASCII)
_NO_DATE = "must be a date, such as 2026-11-22"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def minor_units(currency: str) -> int:
    """How many decimals the currency has."""
    return _MINOR_UNITS.get(currency, 2)


def plain(amount: Decimal) -> str:
    """One spelling for equal amounts: `120`, `120.0` and `120.00` are all `120`."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


# Control characters and lone surrogates (Unicode categories Cc and Cs).
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_COMMON_ID = re.compile(rf"[A-Za-z0-9_-][!-~]{{0,{MAX_ID_CHARS - 1}}}")


def check_id(value: str) -> str:
    if _COMMON_ID.fullmatch(value):
        return value  # as ids are written nearly always
    if not value.strip():
        raise ValueError("must not be empty")
    if len(value) > MAX_ID_CHARS:
        raise ValueError(f"must have at most {MAX_ID_CHARS} characters")
    if value in {".", ".."}:
        raise ValueError("must not be '.' or '..'")
    if _UNPRINTABLE.search(value):
        raise ValueError("must not contain control characters")
    return value


def check_email(value: str) -> str:
    value = value.strip()
    if not value or len(value) > MAX_EMAIL_CHARS or _UNPRINTABLE.search(value) or any(map(str.isspace, value)):
        raise ValueError(f"must be an e-mail address of at most {MAX_EMAIL_CHARS} characters")
    local, at, domain = value.rpartition("@")
    if not (local and at and domain):
        raise ValueError("must be an e-mail address, such as ada@example.com")
    return value


def _clean_text(value: str) -> str:
    if len(value) > MAX_TEXT_CHARS:
        raise ValueError(f"must have at most {MAX_TEXT_CHARS} characters")
    if _SURROGATE.search(value):
        raise ValueError("must be valid Unicode")
    return mask_card_numbers(value)


def read_amount(value: Any) -> Decimal:
    if isinstance(value, str) and _COMMON_AMOUNT.fullmatch(value):
        return Decimal(value)
    if isinstance(value, str) and _PLAIN_NUMBER.fullmatch(value):
        value = Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("must be a JSON number or a decimal string, such as 120.00")  # noqa: TRY004 - pydantic's way
    amount = Decimal(value)
    if not amount.is_finite():
        raise ValueError("must be finite")
    exponent = int(amount.as_tuple().exponent)
    if amount.is_zero():
        return Decimal(0).scaleb(max(-MAX_AMOUNT_DECIMALS, min(exponent, 0)))
    if amount.adjusted() >= MAX_AMOUNT_DIGITS:
        raise ValueError("must be below 1,000,000,000,000")
    if exponent < -MAX_AMOUNT_DECIMALS:
        raise ValueError(f"must have at most {MAX_AMOUNT_DECIMALS} decimals")
    return amount


def read_date(value: Any) -> str:
    if isinstance(value, str):
        return _read_date_text(value)
    raise ValueError(_NO_DATE)


@functools.lru_cache(maxsize=8)  # all of a day's sales have the same
def _read_date_text(value: str) -> str:
    if _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            pass
    raise ValueError(_NO_DATE)


def read_moment(value: Any) -> str:
    if isinstance(value, str) and _DATE_TIME.fullmatch(value):
        try:
            datetime.fromisoformat(value.upper())
        except ValueError:
            pass
        else:
            return value
    raise ValueError("must be an RFC 3339 time with an offset, such as 2026-11-22T19:04:00+01:00")


def _bool_or_absent(value: Any) -> Any:
    """True and false as JSON has them; null is as good as absent."""
    if value is None:
        return False
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 - pydantic's way
    return value


def check_currency(value: str) -> str:
    if not re.fullmatch(r"[A-Z]{3}", value):
        raise ValueError("must be an ISO 4217 code, such as USD")
    return value


def check_metadata(value: Mapping[str, Any]) -> Mapping[str, Any]:
    if not value:
        return value
    try:
        size = len(jsons.encode(value))
    except (UnicodeEncodeError, TypeError):
        raise ValueError("must be JSON with valid Unicode") from None
    if size > MAX_METADATA_BYTES:
        raise ValueError(f"must have at most {MAX_METADATA_BYTES} bytes as JSON")
    return value


_AMOUNT_SCHEMA = {
    "anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^[+-]?\d{1,40}(\.\d{1,40})?$"}],
    "examples": ["120.00"],
}
Id = Annotated[
    str,
    Field(strict=True, json_schema_extra={"minLength": 1, "maxLength": MAX_ID_CHARS}),
    AfterValidator(check_id),
]
Email = Annotated[
    str, Field(strict=True, json_schema_extra={"maxLength": MAX_EMAIL_CHARS}), AfterValidator(check_email)
]
Text = Annotated[str, Field(strict=True, json_schema_extra={"maxLength": MAX_TEXT_CHARS}), AfterValidator(_clean_text)]
Amount = Annotated[Decimal, BeforeValidator(read_amount), WithJsonSchema(_AMOUNT_SCHEMA)]
Currency = Annotated[str, Field(strict=True, examples=["USD"]), AfterValidator(check_currency)]
Date = Annotated[str, BeforeValidator(read_date), WithJsonSchema({"type": "string", "format": "date"})]
Moment = Annotated[str, BeforeValidator(read_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
Metadata = Annotated[
    dict[str, Any], BeforeValidator(lambda value: {} if value is None else value), AfterValidator(check_metadata)
]


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
        if amount != amount.quantize(Decimal(1).scaleb(-places), context=_EXACT):
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


class OrderRef(Document):
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
    if_known: Annotated[bool, BeforeValidator(_bool_or_absent)] = False
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


class BasketVoid(Document):
    """A basket that was voided after a coupon was redeemed in it, or may have been."""

    coupon_id: Id
    transaction_id: Id
    business_date: Date | None = None
    reason: Text | None = None


class Close(Document):
    """An operator's word on a redemption: a credit is settled, or whether a failed one burned the coupon."""

    reason: Text
    burned: bool | None = Field(default=None, strict=True)

    @field_validator("reason")
    @classmethod
    def _says_something(cls, reason: str) -> str:
        if not reason.strip():
            raise ValueError(REASON_NEEDED)
        return reason


class Discard(Document):
    """Why an operator gives an operation up."""

    reason: Text

    @field_validator("reason")
    @classmethod
    def _says_something(cls, reason: str) -> str:
        if not reason.strip():
            raise ValueError(REASON_NEEDED)
        return reason


class MemberKeys(Customer):
    """Whom to forget: one key or more."""


class MemberQuery(Document):
    """Whom a look-up is about: exactly one key."""

    member_id: Id | None = None
    external_id: Id | None = None
    email: Email | None = None

    @model_validator(mode="after")
    def _needs_one_key(self) -> Self:
        if sum(key is not None for key in (self.member_id, self.external_id, self.email)) != 1:
            raise ValueError("needs exactly one of memberId, externalId and email")
        return self


class DrillOrder(Document):
    """How long an outage drill lasts, in seconds."""

    seconds: Annotated[int, Field(strict=True, ge=1, le=MAX_DRILL_S)] = DEFAULT_DRILL_S


# pydantic's own findings in our words; what is missing here keeps its words.
_WORDS = {
    "missing": "is required",
    "string_type": "must be a string",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "bool_type": "must be true or false",
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
