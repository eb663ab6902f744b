"""The answers that setup needs, from a file or from the questions: judged as a whole, every fault named at once.

One file serves many tills: `{hostname}` and `{env:NAME}` in what names the till or the store stand for this machine's
name and for a variable of the environment. Raises ConfigError.
"""

import difflib
import os
import re
import socket
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    SecretStr,
    TypeAdapter,
    ValidationError,
)

from agent import plainfile, settingwords
from agent.config import values
from agent.errors import ConfigError
from agent.fields import FLASH_KEY, Id, Text
from agent.setup import numbers

LOWEST_PORT = 1024  # below it the service may not listen
_PLACEHOLDER = re.compile(r"\{(hostname|env:([A-Za-z_][A-Za-z0-9_]*))\}")
_PATTERNS = {
    "currency": "must be three capital letters, such as USD or EUR",
    "till_id": "may hold letters, digits, '.', '_' and '-' alone",
}
KEY_VARIABLES = {"write": "FLASH_AGENT_FLASH__WRITE_KEY", "read": "FLASH_AGENT_FLASH__READ_KEY"}


def _filled(value: Any) -> Any:
    """This till's own, where a file for many tills has a placeholder."""
    if not isinstance(value, str):
        return value

    def own(match: re.Match[str]) -> str:
        if match[1] == "hostname":
            return socket.gethostname().partition(".")[0]
        if not (found := os.environ.get(match[2], "").strip()):
            raise ValueError(f"names {match[0]}, and the environment has no {match[2]}")
        return found

    return _PLACEHOLDER.sub(own, value.strip())


def _or_none(value: Any) -> Any:
    """An empty answer takes a setting away."""
    return None if value == "" else value


def _check_key(value: SecretStr) -> SecretStr:
    if not FLASH_KEY.fullmatch(value.get_secret_value()):
        raise ValueError("must be 8 to 512 printable characters without blanks, such as fl_live_…")
    return value


def _read_port(value: Any) -> Any:
    if value == "auto":
        return value
    number = int(value) if isinstance(value, str) and value.isdecimal() and value.isascii() else value
    if isinstance(number, bool) or not isinstance(number, int) or not LOWEST_PORT <= number <= 65535:
        raise ValueError(f'must be a number from {LOWEST_PORT} to 65535, or "auto"')
    return number


def _check_orders(value: str) -> str:
    _must_be_sound(numbers.templates(value)[0], values.IdTemplate)
    return value


def _check_refunds(value: str | None) -> str | None:
    if value is not None:
        _must_be_sound(numbers.templates("unique", value)[1], values.RefundIdTemplate)
    return value


def _must_be_sound(template: str, kind: Any) -> None:
    """As the settings will judge it."""
    try:
        TypeAdapter(kind).validate_python(template)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None


FlashKey = Annotated[SecretStr, AfterValidator(_check_key)]
_Filled = BeforeValidator(_filled)
_OrNone = BeforeValidator(_or_none)


class Answers(BaseModel):
    """What setup was told; `example.py` explains each."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    base_url: values.BaseUrl = "https://flash.socialhub.ai/api/v2"
    proxy: Annotated[values.Proxy | None, _OrNone] = None
    ca_file: Annotated[values.CaFile | None, _OrNone] = None
    write_key: FlashKey | None = None
    write_key_file: Path | None = None
    read_key: FlashKey | None = None
    read_key_file: Path | None = None
    store_id: Annotated[values.StoreId, _Filled] | None = None
    store_external_id: Annotated[Id, _Filled] | None = None
    store_name: Annotated[Text, _Filled] | None = None
    store_city: Annotated[Text, _Filled] | None = None
    register_store: bool = False
    till_id: Annotated[values.TillId, _Filled]
    currency: values.Currency
    language: values.Language = "en"
    order_numbers: Annotated[str, AfterValidator(_check_orders)]
    refund_numbers: Annotated[str | None, AfterValidator(_check_refunds), _OrNone] = None
    port: Annotated[int | Literal["auto"], BeforeValidator(_read_port)] = 8455
    allowed_origins: values.Origins = ()
    coupons_offline: values.OfflineCoupons = "decline"
    recovery: Annotated[values.Recipient | None, _OrNone] = None
    check: bool = True

    @property
    def templates(self) -> tuple[str, str]:
        """`id_template` and `refund_id_template`."""
        return numbers.templates(self.order_numbers, self.refund_numbers)


@dataclass(frozen=True, slots=True)
class Given:
    """The answers with the keys read. `from_file` is the answers file, where keys stand in it."""

    answers: Answers
    write_key: SecretStr | None
    read_key: SecretStr | None
    from_file: str | None = None


_MISSING = {
    "till_id": 'say which till this is, such as "lane-3"; "{hostname}" takes the machine\'s name',
    "currency": 'say in which currency it sells, such as "USD"',
    "order_numbers": f"say whether order numbers repeat: {', '.join(numbers.BY_NAME)}, or a template",
}
_NO_STORE = 'store_id is missing: name the store by store_id ("st_…"), or by store_external_id'
_NO_KEY = (
    "write_key is missing: give write_key, write_key_file, or the environment variable "
    f"{KEY_VARIABLES['write']}; Flash's administrator makes the key"
)


def read(text: str, source: str, *, known: Mapping[str, Any], has_key: bool, till: str | None = None) -> Given:
    """The answers in a TOML text; `known` are those that the existing configuration gives.

    `has_key`: the agent has a write key already, so that none need be given. `till` goes before what the file says.
    """
    try:
        table = tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        hint = " Write a path of Windows in single quotes: 'C:\\keys\\write.key'." if "\\" in text else ""
        raise ConfigError(f"{source} is not valid TOML: {error}.{hint}") from None
    if till is not None:
        table["till_id"] = till
    from_file = source if {"write_key", "read_key"} & table.keys() else None
    return judge(table, source, known=known, has_key=has_key, from_file=from_file)


def judge(
    table: Mapping[str, Any],
    source: str,
    *,
    known: Mapping[str, Any],
    has_key: bool,
    from_file: str | None = None,
) -> Given:
    """The answers in a table, whole; raises ConfigError naming every fault."""
    full = _over(known, table)
    faults = list(_across(full))
    keys: dict[str, SecretStr | None] = {}
    for which in KEY_VARIABLES:
        try:
            keys[which] = _key(full, which)
        except ValueError as fault:
            faults.append(str(fault))
            keys[which] = None
    if keys["write"] is None and not has_key and not {"write_key", "write_key_file"} & full.keys():
        faults.append(_NO_KEY)
    try:
        answers = Answers.model_validate(full)
    except ValidationError as error:
        faults += [_spell(item) for item in error.errors(include_input=False, include_url=False)]
        answers = None
    if faults or answers is None:
        said = (fault if fault.endswith("?") else f"{fault}." for fault in dict.fromkeys(faults))
        raise ConfigError("\n".join(f"{source}: {fault}" for fault in said))
    return Given(answers, keys["write"], keys["read"], from_file)


def fault_in(name: str, value: Any) -> str | None:
    """What is wrong with one answer, for the questions; None: nothing."""
    try:
        Answers.model_validate({name: value})
    except ValidationError as error:
        for item in error.errors(include_input=False, include_url=False):
            if item["loc"][0] == name:
                return _spell(item).removeprefix(f"{name} ")
    return None


def _over(known: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """A store that is named otherwise takes the place of the one that is known."""
    if "store_external_id" in table and "store_id" not in table:
        known = {name: value for name, value in known.items() if name != "store_id"}
    if "order_numbers" in table and "refund_numbers" not in table:
        known = {name: value for name, value in known.items() if name != "refund_numbers"}
    return {**known, **table}


def _across(table: Mapping[str, Any]) -> Iterator[str]:
    if "store_id" not in table and "store_external_id" not in table:
        yield _NO_STORE
    if "store_id" in table and "store_external_id" in table:
        yield "store_id and store_external_id both name the store; give one of them"
    if table.get("register_store") and not table.get("store_name"):
        yield "store_name is missing: a store that is to be registered needs one"
    for which in KEY_VARIABLES:
        if f"{which}_key" in table and f"{which}_key_file" in table:
            yield f"{which}_key and {which}_key_file both give the {which} key; give one of them"


def _key(table: Mapping[str, Any], which: str) -> SecretStr | None:
    """From the answer, its file or the environment; raises ValueError with the fault, which repeats nothing of it."""
    path = table.get(f"{which}_key_file")
    if isinstance(given := table.get(f"{which}_key"), str):
        text, name = given, f"{which}_key"
    elif isinstance(path, str):
        name = f"{which}_key_file"
        try:
            text = plainfile.read(Path(path), follow=True).decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            variable = KEY_VARIABLES[which]
            besides = f"; leave it out, and {variable} of the environment is taken" if variable in os.environ else ""
            raise ValueError(f"{name} cannot be read: {reason}{besides}") from None
    elif text := os.environ.get(KEY_VARIABLES[which], ""):
        name = KEY_VARIABLES[which]
    else:
        return None
    try:
        return _check_key(SecretStr(text.strip()))
    except ValueError as fault:
        raise ValueError(f"{name} {fault}") from None


def _spell(item: Any) -> str:
    name = str(item["loc"][0])
    if item["type"] == "missing":
        return f"{name} is missing: {_MISSING[name]}"
    if item["type"] == "extra_forbidden":
        close = difflib.get_close_matches(name, Answers.model_fields, n=1)
        hint = f"Did you mean {close[0]!r}" if close else "flash-agent setup --example shows all that there are"
        return f"{name} is no answer. {hint}{'?' if close else ''}"
    if item["type"] == "string_pattern_mismatch" and name in _PATTERNS:
        return f"{name} {_PATTERNS[name]}"
    return f"{name} {_lower(settingwords.words(item, Answers.model_fields.get(name)))}"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
