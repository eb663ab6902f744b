"""agent.toml: changed with its comments and other settings kept, compared, and replaced whole.

The new text is on the disk beside the old one, and was loaded as the agent will load it, before it takes the place.
Flash keys do not stay in it once setup was given others; the copy of what was there before has none of them either.
"""

import contextlib
import difflib
import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from agent import config, plainfile
from agent.errors import AgentError, ConfigError
from agent.setup import numbers
from agent.setup.answers import Given
from agent.setup.place import GROUP, Place
from agent.storage.durable import replace_patiently, sync_folder

_HEADER = """\
# The Flash POS Agent's settings, written by flash-agent setup: run it again to change them, or edit them here and
# restart the agent. What else can be set: flash-agent config check. The Flash keys are kept in the data directory.
"""
_SERVICES_MODE = 0o640
_SECRETS = (
    (re.compile(r"\b((?:write|read)_key\s*=\s*).*"), r"\1…"),
    (re.compile(r"://[^/@\s\"']+@"), "://…@"),
)
_KEYS = {"write_key", "read_key"}
Change = Mapping[tuple[str, str], Any]  # by section and name; None takes the setting away


@dataclass(frozen=True, slots=True)
class Existing:
    """What is there: the text (empty where there is no file) and its tables."""

    text: str
    tables: Mapping[str, Any]

    def get(self, section: str, name: str) -> Any:
        """One setting as the file has it; None where it has not."""
        table = self.tables.get(section)
        return table.get(name) if isinstance(table, Mapping) else None

    @property
    def answers(self) -> dict[str, Any]:
        """What it answers of setup's questions."""
        found = {answer: self.get(*place) for answer, place in _PLACES.items()}
        for answer, of in (("order_numbers", numbers.ORDER), ("refund_numbers", numbers.REFUND)):
            if isinstance(found[answer], str):
                found[answer] = numbers.way_of(found[answer], of)
        return {answer: value for answer, value in found.items() if value is not None}


_PLACES = {
    "base_url": ("flash", "base_url"),
    "proxy": ("flash", "proxy"),
    "ca_file": ("flash", "ca_file"),
    "store_id": ("store", "store_id"),
    "till_id": ("store", "till_id"),
    "currency": ("store", "currency"),
    "language": ("store", "language"),
    "order_numbers": ("orders", "id_template"),
    "refund_numbers": ("orders", "refund_id_template"),
    "port": ("api", "port"),
    "allowed_origins": ("api", "allowed_origins"),
    "coupons_offline": ("coupons", "offline"),
    "recovery": ("keys", "recovery"),
}


def read(path: Path) -> Existing:
    """What is there now; raises ConfigError where it cannot be read, for it would be lost."""
    try:
        text = plainfile.read(path, follow=True, limit=config.MAX_FILE_BYTES).decode("utf-8-sig")
        return Existing(text, tomlkit.parse(text).unwrap())
    except FileNotFoundError:
        return Existing("", {})
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except (UnicodeDecodeError, TOMLKitError):
        raise ConfigError(f"{path} is not valid TOML. Mend it (flash-agent config check), or move it away.") from None


def changes(given: Given, store_id: str, port: int) -> Change:
    """The settings that the answers come to."""
    answers = given.answers
    orders, refunds = answers.templates
    changed: dict[tuple[str, str], Any] = {
        ("flash", "base_url"): answers.base_url,
        ("flash", "proxy"): answers.proxy.get_secret_value() if answers.proxy else None,
        ("flash", "ca_file"): str(answers.ca_file) if answers.ca_file else None,
        ("store", "store_id"): store_id,
        ("store", "till_id"): answers.till_id,
        ("store", "currency"): answers.currency,
        ("store", "language"): answers.language,
        ("api", "port"): port,
        ("api", "allowed_origins"): list(answers.allowed_origins) or None,
        ("orders", "id_template"): orders,
        ("orders", "refund_id_template"): refunds,
        ("coupons", "offline"): answers.coupons_offline,
        ("keys", "recovery"): answers.recovery,
    }
    for which, key in (("write", given.write_key), ("read", given.read_key)):
        if key is not None:  # the file would go before what the agent keeps
            changed |= {("flash", f"{which}_key"): None, ("flash", f"{which}_key_file"): None}
    return changed


def merged(existing: Existing, change: Change) -> str:
    """The new text: nothing else of the old one is touched."""
    document = tomlkit.parse(existing.text or _HEADER)
    for (section, name), value in change.items():
        if existing.get(section, name) == value:
            continue
        if section not in document:
            document[section] = tomlkit.table()
        table: Any = document[section]
        if value is None:
            table.pop(name, None)
        else:
            table[name] = value
    return tomlkit.dumps(document)


def difference(old: str, new: str, path: Path) -> Iterator[str]:
    """The lines that change, as `diff -u` shows them, without secrets."""
    lines = difflib.unified_diff(shown(old).splitlines(), shown(new).splitlines(), f"{path}", "new", lineterm="", n=1)
    yield from lines


def shown(text: str) -> str:
    """The text without what is secret in it."""
    for pattern, mask in _SECRETS:
        text = pattern.sub(mask, text)
    return text


def replace(place: Place, existing: Existing, change: Change) -> None:
    """Put the new text in place, durably; the one before stays as agent.toml.before. Raises AgentError."""
    path = place.config
    draft, before = path.with_name(f"{path.name}.new"), path.with_name(f"{path.name}.before")
    moved = {(section, name): None for section, name in change if name in _KEYS}
    try:
        _make_folder(place)
        try:
            _write(draft, merged(existing, change), place)
            _must_load(draft, path)
            if existing.text:
                spare = before.with_name(f"{before.name}.new")
                _write(spare, merged(existing, moved), place)
                replace_patiently(spare, before)
            replace_patiently(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise AgentError(f"{path} was not written: {error.strerror}. It is as it was.") from None


def _make_folder(place: Place) -> None:
    """Where there is none; the service must be able to enter it, however careful this user's umask is."""
    folder = place.config.parent
    if not folder.is_dir():
        folder.mkdir(parents=True)
        if place.service:
            folder.chmod(0o755)


def _write(path: Path, text: str, place: Place) -> None:
    """A file for whoever may read the settings now, on the disk."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(descriptor, "wb") as file:
        _give(descriptor, place)
        file.write(text.encode())
        file.flush()
        os.fsync(descriptor)


def _give(descriptor: int, place: Place) -> None:
    """The service's are root:flash-agent 0640; others stay whose they were, and a new one is its owner's alone.

    On Windows the folder has an access list.
    """
    if sys.platform == "win32":
        return
    import grp  # noqa: PLC0415 - Linux alone

    is_root = os.geteuid() == 0
    if place.config.exists() and not place.service:
        now = place.config.stat()
        if is_root or now.st_uid == os.geteuid():
            os.fchown(descriptor, now.st_uid, now.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(now.st_mode))
        return
    if is_root:
        with contextlib.suppress(KeyError):  # no package was installed here
            os.fchown(descriptor, 0, grp.getgrnam(GROUP).gr_gid)
            os.fchmod(descriptor, _SERVICES_MODE)


def _must_load(draft: Path, path: Path) -> None:
    """The agent must be able to load it; raises ConfigError naming every fault."""
    try:
        config.load(str(draft))
    except ConfigError as error:
        said = str(error).replace(str(draft), str(path))
        raise ConfigError(f"The settings cannot be used, so {path} stays as it was.\n{said}") from None
