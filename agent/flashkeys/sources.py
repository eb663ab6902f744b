"""Where this till's Flash keys come from, and where new ones are kept.

In this order: `[flash] write_key` (file or environment), `write_key_file`, the credential `flash-write-key` that
systemd hands to the service, and what `flash-agent keys set` kept in the data directory (`flash-write.key`), protected
like the data key. The same for the read key. A key that does not open is missing, and a condition says so.

A new key that Flash has not taken yet waits beside the kept one (`flash-write.next.key`), which stays as it is: a
restart in between goes on with both. How a key comes into force: `swap.py`.
"""

import hashlib
import threading
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import SecretStr

from agent import logs, plainfile
from agent.config import Settings
from agent.errors import DataKeyError, StorageUnavailableError
from agent.fields import FLASH_KEY
from agent.storage import KeyFile
from agent.storage.durable import remove_patiently
from agent.storage.protection import StoreName, credential

Which = Literal["write", "read"]
Source = Literal["setting", "file", "credential", "kept"]
WHICH: tuple[Which, ...] = ("write", "read")


class Found(NamedTuple):
    """A key, and where it lies; None for both where there is none."""

    key: SecretStr | None = None
    source: Source | None = None


def fingerprint(key: SecretStr) -> str:
    """A name for a key that tells nothing of it: the first eight digits of its SHA-256, the same at every till."""
    return hashlib.sha256(key.get_secret_value().encode()).hexdigest()[:8]


class FlashKeys:
    """`sources` says for each key where the one in force came from; None where there is none."""

    def __init__(self, settings: Settings, key_file: KeyFile, data_dir: Path) -> None:
        self._key_file = key_file
        self._data_dir = data_dir
        self._log = logs.get()
        self._keeping = threading.Lock()
        self.sources: dict[Which, Source | None] = {"write": None, "read": None}
        self._settings = settings
        self._keys: dict[Which, SecretStr | None] = {"write": None, "read": None}

    @property
    def protected_by(self) -> StoreName | None:
        """What stands before the files of keys in the data directory."""
        return self._key_file.protected_by

    def load(self) -> None:
        """Look for both at the start; raises ConfigError where a file that the settings name cannot be read.

        A key that waited beside a kept one that is gone, or that another source goes before, takes its place. A read
        key waits on: nobody holds it until Flash has shown the store under it, as the guard does with a write key.
        """
        for which in WHICH:
            found = self.find(which)
            stands_in = found.source != "kept" and (which == "write" or found.key is not None)
            if stands_in and (waiting := self.waiting(which)) is not None:
                try:
                    self.keep(which, waiting)
                except StorageUnavailableError as error:
                    self._log.warning("a Flash key waits for the disk", code=error.code)
                found = found if found.key is not None else Found(waiting, "kept")
            self._keys[which], self.sources[which] = found

    def get(self, which: Which) -> SecretStr | None:
        """The key that was found at the start."""
        return self._keys[which]

    def find(self, which: Which) -> Found:
        """Look now; raises ConfigError where a file that the settings name cannot be read, or holds no key."""
        if (key := self._settings.key(which)) is not None:
            named = getattr(self._settings.flash, f"{which}_key") is not None
            return Found(key, "setting" if named else "file")
        if (path := credential(f"flash-{which}-key")) is not None and (text := self._text(path)):
            return Found(SecretStr(text), "credential")
        kept = self.kept(which)
        return Found() if kept is None else Found(kept, "kept")

    def kept(self, which: Which) -> SecretStr | None:
        """The key in the data directory, whether or not another source goes before it."""
        return self._open(self._path(which))

    def waiting(self, which: Which) -> SecretStr | None:
        """The key that waits to take the kept one's place."""
        return self._open(self._path(which, "next."))

    def keep(self, which: Which, key: SecretStr) -> None:
        """Keep a key, durably; nothing waits any more. Raises StorageUnavailableError. From any thread."""
        with self._keeping:
            self._write(self._path(which), key)
            self._remove(self._path(which, "next."))

    def keep_waiting(self, which: Which, key: SecretStr) -> None:
        """Keep a key beside the one that is kept, durably; raises StorageUnavailableError. From any thread."""
        with self._keeping:
            self._write(self._path(which, "next."), key)

    def _write(self, path: Path, key: SecretStr) -> None:
        try:
            self._key_file.keep(path, key.get_secret_value())
        except OSError as error:
            raise _unwritten(error) from None

    def _remove(self, path: Path) -> None:
        try:
            remove_patiently(path)
        except OSError as error:
            raise _unwritten(error) from None

    def _open(self, path: Path) -> SecretStr | None:
        try:
            text = self._key_file.kept(path)
        except DataKeyError as error:
            self._log.error("a kept Flash key does not open", error=error.detail)
            return None
        return None if text is None else SecretStr(text)

    def _text(self, path: Path) -> str | None:
        """The credential, where it looks like a key."""
        try:
            text = plainfile.read(path, follow=True).decode("utf-8-sig").strip()
        except (OSError, UnicodeDecodeError):
            text = ""
        if not FLASH_KEY.fullmatch(text):
            self._log.error("a credential is no Flash key", path=str(path))
            return None
        return text

    def _path(self, which: Which, kind: Literal["", "next."] = "") -> Path:
        return kept_path(self._data_dir, which, kind)


def kept_path(data_dir: Path, which: Which, kind: Literal["", "next."] = "") -> Path:
    """Where the agent keeps a key that it was given; `next.`: the one that waits."""
    return data_dir / f"flash-{which}.{kind}key"


def _unwritten(error: OSError) -> StorageUnavailableError:
    return StorageUnavailableError(f"The key was not kept: it cannot be written ({error.strerror}).", retry_after_s=30)
