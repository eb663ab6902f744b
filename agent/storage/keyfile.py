"""The data keys' file, `data.key` (0600) beside the database: read at the start, replaced whole when keys change.

A key is never made over rows that another key sealed: the database holds a check value, and a key file that is missing
or does not match it is a DataKeyError. What is written is on the disk, whole, before anything is sealed with it.
What stands before the file besides its mode, the file itself says: `protection.py`.
"""

import base64
import contextlib
import json
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent import plainfile
from agent.errors import DataKeyError
from agent.storage.durable import sync_folder, write_durably
from agent.storage.protection import CREDENTIAL, Protection, StoreName, by_credential, choose, protection
from agent.storage.sealing import DataKeys

CHECK_FACT = "data-key-check"  # under this name the database remembers its keys' check value
NEWEST_FACT = "data-key-newest"  # and the highest id that sealed anything in it, where that is not the first
_PLAIN, _PROTECTED = 1, 2  # formats


class KeyFile:
    """`data.key` of one data directory, and what protects it. `asked` is `[keys] store`."""

    def __init__(self, path: Path, asked: str = "file", environ: Mapping[str, str] = os.environ) -> None:
        self._path = path
        self._asked = asked
        self._environ = environ
        self._protection: Protection | None = None
        self.protected_by: StoreName | None = None  # as the file is now; None before it was read
        self.before_saving: Callable[[DataKeys], None] = lambda _keys: None  # raises OSError: then nothing is saved

    @property
    def is_as_asked(self) -> bool:
        """Whether what protects the file is what the settings come to."""
        return self._protection is not None and self._protection.name == self.protected_by

    def load_or_create(self, check_value: bytes | None, *, may_create: bool = True, newest: int = 1) -> DataKeys:
        """The keys; made on the first start alone, durable before they are returned.

        `check_value` and `newest` are what the database remembers of its keys: None when it remembers none, and the
        highest id that it knows. A file without that one is older than the database, and would neither open what was
        sealed since nor keep its ids from being given again. `may_create` is False when there may be rows that another
        key sealed, in a database that was set aside, say. A file that is protected otherwise than the settings ask for
        is written anew. A file that is there may have been given its name by an agent that was killed before the name
        was on the disk: it is, before anything is sealed with these keys.
        """
        if not self._path.exists():
            if check_value is not None or not may_create:
                raise DataKeyError(
                    "data.key is missing, and the database holds rows that it sealed. Put it back, and restart."
                )
            self._protection = self._asked_for(None)
            keys = DataKeys.fresh()
            self.save(keys)
            return keys
        kept_by, keys = self._read()
        with contextlib.suppress(OSError):
            sync_folder(self._path.parent)
        if check_value is not None and not secrets.compare_digest(keys.check_value, check_value):
            raise DataKeyError(
                "data.key is not the key that sealed this database. Put the right one back, and restart."
            )
        if newest > max(keys.sealing):
            raise DataKeyError(
                f"data.key is older than the database, which was sealed with data key {newest} since: that one is not "
                "in it. Put the newest data.key back, and restart."
            )
        self._protection, self.protected_by = self._asked_for(kept_by), kept_by
        if not self.is_as_asked:
            with contextlib.suppress(OSError):  # a full disk, say: as it was until the next start
                self.save(keys)
        return keys

    def read(self) -> DataKeys:
        """The keys as they are; nothing is written. Raises DataKeyError."""
        return self._read()[1]

    def save(self, keys: DataKeys) -> None:
        """Replace the file, durably; raises OSError, and then the old one is still there."""
        self.before_saving(keys)
        document = {"format": _PLAIN, **keys.as_document()}
        self.protected_by = self._write(self._path, json.dumps(document).encode())

    def keep(self, path: Path, secret: str) -> None:
        """Another small secret beside it, protected alike; raises OSError."""
        self._write(path, json.dumps({"format": _PLAIN, "secret": secret}).encode())

    def kept(self, path: Path) -> str | None:
        """What `keep` wrote, protected as is asked now; None where there is none. Raises DataKeyError."""
        if not path.exists():
            return None
        kept_by, document = self._reveal(path)
        secret = document.get("secret")
        if not isinstance(secret, str):
            raise _damaged(path)
        if self._protection is not None and self._protection.name != kept_by:
            with contextlib.suppress(OSError):
                self.keep(path, secret)
        return secret

    def _write(self, path: Path, plain: bytes) -> StoreName:
        chosen = self._protection or self._asked_for(None)
        if chosen.name != "file":
            sealed = base64.b64encode(chosen.protect(plain, path.name)).decode()
            plain = json.dumps({"format": _PROTECTED, "store": chosen.name, "sealed": sealed}).encode()
        write_durably(path, plain)
        return chosen.name

    def _asked_for(self, kept_by: StoreName | None) -> Protection:
        """`auto` never takes away what protects a file already."""
        chosen = choose(self._asked, self._environ)
        if self._asked == "auto" and chosen == "file" and kept_by is not None:
            chosen = kept_by
        return protection(chosen, self._path.parent, self._environ)

    def _read(self) -> tuple[StoreName, DataKeys]:
        kept_by, document = self._reveal(self._path)
        try:
            return kept_by, DataKeys.from_document(document)
        except ValueError:
            raise _damaged(self._path) from None

    def _reveal(self, path: Path) -> tuple[StoreName, dict[str, Any]]:
        """What protects a file, and the document in it."""
        try:
            document = json.loads(plainfile.read(path, follow=True).decode("ascii"))
            if document["format"] == _PLAIN:
                return "file", document
            if document["format"] != _PROTECTED or document["store"] not in {"credentials", "keyring", "dpapi"}:
                raise ValueError("format")
            kept_by: StoreName = document["store"]
            sealed = base64.b64decode(document["sealed"], validate=True)
        except OSError as error:
            raise DataKeyError(f"{path.name} cannot be read: {error.strerror}. Put it back from a backup.") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _damaged(path) from None
        plain = self._stands_before(kept_by, path).reveal(sealed, path.name)
        try:
            revealed: dict[str, Any] = json.loads(plain)
        except ValueError:
            raise _damaged(path) from None
        return kept_by, revealed

    def _stands_before(self, kept_by: StoreName, path: Path) -> Protection:
        return protection(kept_by, path.parent, self._environ)


class _AnotherTills(KeyFile):
    """Read where it lies, on a disk that came from elsewhere: what protects it may not be here."""

    credential: Path | None = None

    def _stands_before(self, kept_by: StoreName, path: Path) -> Protection:
        match kept_by:
            case "credentials" if self.credential is not None:
                return by_credential(self.credential)
            case "credentials":
                where = f"on its disk it is etc/flash-agent/credentials/{CREDENTIAL}"
                raise DataKeyError(
                    f"{path.name} is sealed with its system's credential: give it with --credential FILE ({where})."
                )
            case "keyring":
                raise DataKeyError(f"{path.name} is sealed with its system's keyring.")
            case "dpapi" if sys.platform != "win32":
                raise DataKeyError(f"{path.name} is sealed by its machine's Windows (DPAPI).")
        return super()._stands_before(kept_by, path)


def read_keys(path: Path, credential: Path | None = None) -> DataKeys:
    """The keys in another till's file, which is not written; `credential` is its system's. Raises DataKeyError."""
    file = _AnotherTills(path)
    file.credential = credential
    return file.read()


def _damaged(path: Path) -> DataKeyError:
    return DataKeyError(f"{path.name} cannot be read: it is damaged. Put it back from a backup.")
