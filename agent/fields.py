"""The single values in documents: what each may be, and the words that say what is wrong with one. Pure.

Each `check_` or `read_` function returns the value as it is kept, or raises ValueError with words that follow the
field's name and repeat nothing of the input. `model.py` makes documents of them.
"""

import functools
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from agent import jsons
from agent.cards import mask_card_numbers

MAX_ID_CHARS = 128
MAX_EMAIL_CHARS = 254
MAX_TEXT_CHARS = 1000
MAX_METADATA_BYTES = 4096
MAX_AMOUNT_DIGITS = 12
MAX_AMOUNT_DECIMALS = 40
EXACT = Context(prec=MAX_AMOUNT_DIGITS + MAX_AMOUNT_DECIMALS)

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
_CLIENT_NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_TAKEN_NAMES = {"register", "operator", "anonymous"}
_NO_DATE = "must be a date, such as 2026-11-22"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DATE_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]([01]\d|2[0-3]):\d{2}(:\d{2}(\.\d{1,9})?)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
_LEAP_SECOND = re.compile(r"(?<=:59:)60(?=\D)")

FLASH_KEY = re.compile(r"[\x21-\x7e]{8,512}")


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
    if any(map(str.isspace, value)):
        raise ValueError("must be an e-mail address without blanks")
    if not value or len(value) > MAX_EMAIL_CHARS or _UNPRINTABLE.search(value):
        raise ValueError(f"must be an e-mail address of at most {MAX_EMAIL_CHARS} characters")
    local, at, domain = value.rpartition("@")
    if not (local and at and domain):
        raise ValueError("must be an e-mail address, such as ada@example.com")
    return value


def clean_text(value: str) -> str:
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
        plain_time, leaps = _LEAP_SECOND.subn("59", value.upper(), count=1)  # few systems take one, so none is sent
        try:
            moment = datetime.fromisoformat(plain_time)
            if not leaps or (moment.astimezone(UTC).hour, moment.astimezone(UTC).minute) == (23, 59):
                return _LEAP_SECOND.sub("59", value, count=1) if leaps else value
        except (ValueError, OverflowError):
            pass
    raise ValueError("must be an RFC 3339 time with an offset, such as 2026-11-22T19:04:00+01:00")


def bool_or_absent(value: Any) -> Any:
    """True and false as JSON has them; null is as good as absent."""
    if value is None:
        return False
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 - pydantic's way
    return value


def check_origin(value: str) -> str:
    """As a browser writes it: lower case, without the scheme's own port."""
    if not re.fullmatch(r"(https?|chrome-extension|moz-extension|app)://[A-Za-z0-9.\-\[\]:]+", value):
        raise ValueError("must be an origin such as https://pos.example.com, without a path")
    scheme, _, host = value.lower().partition("://")
    own_port = {"https": ":443", "http": ":80"}.get(scheme)
    return f"{scheme}://{host.removesuffix(own_port) if own_port else host}"


def check_token_name(value: str) -> str:
    """Fit for a path and a log, and not to be taken for an id or for a token of the data directory."""
    if not re.fullmatch(_CLIENT_NAME, value, re.ASCII):
        raise ValueError("must be 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit")
    if value.casefold() in _TAKEN_NAMES or value.casefold().startswith("tok_"):
        raise ValueError("must not be register, operator or anonymous, nor begin with tok_")
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
Text = Annotated[str, Field(strict=True, json_schema_extra={"maxLength": MAX_TEXT_CHARS}), AfterValidator(clean_text)]
Amount = Annotated[Decimal, BeforeValidator(read_amount), WithJsonSchema(_AMOUNT_SCHEMA)]
Currency = Annotated[str, Field(strict=True, examples=["USD"]), AfterValidator(check_currency)]
Origin = Annotated[str, Field(strict=True, examples=["https://pos.example.com"]), AfterValidator(check_origin)]
TokenName = Annotated[
    str,
    Field(strict=True, json_schema_extra={"pattern": f"^{_CLIENT_NAME}$"}, examples=["lane-3"]),
    AfterValidator(check_token_name),
]
Date = Annotated[str, BeforeValidator(read_date), WithJsonSchema({"type": "string", "format": "date"})]
Moment = Annotated[str, BeforeValidator(read_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
Metadata = Annotated[
    dict[str, Any], BeforeValidator(lambda value: {} if value is None else value), AfterValidator(check_metadata)
]
