"""What one setting may be. Each check returns the value, or raises ValueError with the rule that it breaks.

Used by the sections, and by `flash-agent setup`, which judges what it is told by the same rules.
"""

import os
import re
import ssl
import string
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from agent import plainfile
from agent.fields import check_currency, check_id, check_origin
from agent.receipt import LANGUAGES
from agent.receipt.negotiation import supported
from agent.receipt.templates import read_own

ORDER_FIELDS = frozenset({"external_order_id", "store_id", "till_id", "business_date"})
REFUND_FIELDS = ORDER_FIELDS | {"refund_id"}
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_MAX_CA_BYTES = 16 * 1024 * 1024
_PROXY = re.compile(r"https?://([^/?#@\s]+@)?(\[[0-9a-fA-F:]+\]|[^/?#@:\s\[\]]+)(:\d{1,5})?/?")


def _check_base_url(value: str) -> str:
    match = re.fullmatch(r"(https?)://(\[[0-9a-fA-F:]+\]|[^/?#@:\s\[\]]+)(:\d{1,5})?(/[^?#\s]*)?", value)
    if not match:
        raise ValueError("must be an address such as https://flash.socialhub.ai/api/v2, without a query or a user")
    scheme, host = match[1], match[2].strip("[]")
    if scheme == "http" and host not in LOOPBACK_HOSTS:
        raise ValueError("must begin with https:// (plain http is for loopback hosts alone)")
    return value.rstrip("/")


def _check_proxy(value: SecretStr) -> SecretStr:
    if not _PROXY.fullmatch(value.get_secret_value()):
        raise ValueError("must be an address such as http://proxy.example.com:3128")
    return value


def _check_ca_file(value: Path) -> Path:
    try:
        plainfile.must_be_plain(value, value.stat(), limit=_MAX_CA_BYTES)  # else the library reads for ever
        ssl.create_default_context(cafile=value)
    except (OSError, ValueError, ssl.SSLError):
        raise ValueError("must be a readable plain file of certificates (PEM)") from None
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


def _check_folders(folders: dict[str, Path]) -> dict[str, Path]:
    """Each is one folder's alone: two adapters in one folder would read each other's files."""
    for name, folder in folders.items():
        if not folder.is_absolute() or "\0" in str(folder):
            raise ValueError(f"{name} must be a whole path, such as {Path.home().anchor}srv{os.sep}spool{os.sep}{name}")
        for other, theirs in folders.items():
            if other != name and folder.is_relative_to(theirs):
                raise ValueError(f"{name} must have a folder of its own, not that of {other} and none in it")
    return folders


def _check_recovery(value: str) -> str:
    """Its form; whether it is mistyped is found when it is first used, for that takes a package of its own."""
    if not re.fullmatch(r"age1[02-9ac-hj-np-z]{58}", value):
        raise ValueError("must be what flash-agent rescue keygen printed: age1… and 58 more letters and digits")
    return value


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
Templates = Annotated[Path, AfterValidator(_check_templates)]
ForeignCurrency = Annotated[str, AfterValidator(check_currency)]
Id = Annotated[str, AfterValidator(check_id)]
Folders = Annotated[dict[str, Path], AfterValidator(_check_folders)]
Recipient = Annotated[str, AfterValidator(_check_recovery)]
