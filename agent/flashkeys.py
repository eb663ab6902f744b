"""Where this till's Flash keys come from, and where a new one is kept.

In this order: `[flash] write_key` (file or environment), `write_key_file`, the credential `flash-write-key` that
systemd hands to the service, and what `flash-agent key set` kept in the data directory, protected like the data key.
The same for the read key. A key that does not open is missing, and a condition says so.
"""

import threading
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from agent import logs
from agent.config import Settings
from agent.errors import DataKeyError, StorageUnavailableError
from agent.fields import FLASH_KEY
from agent.storage import KeyFile
from agent.storage.protection import StoreName, credential

Which = Literal["write", "read"]
Source = Literal["setting", "file", "credential", "kept"]


class FlashKeys:
    """`sources` says for each key where it came from; None where there is none."""

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
        """Look for both; raises ConfigError where a file that the settings name cannot be read."""
        whiches: tuple[Which, ...] = ("write", "read")
        for which in whiches:
            self._keys[which], self.sources[which] = self._find(which)

    def get(self, which: Which) -> SecretStr | None:
        """The key."""
        return self._keys[which]

    def keep(self, which: Which, key: SecretStr) -> None:
        """Keep a new one for the next start; raises StorageUnavailableError. May be called from several threads."""
        try:
            with self._keeping:
                self._key_file.keep(self._path(which), key.get_secret_value())
        except OSError as error:
            raise StorageUnavailableError(
                f"The key was not kept: it cannot be written ({error.strerror}).", retry_after_s=30
            ) from None

    def _find(self, which: Which) -> tuple[SecretStr | None, Source | None]:
        if (key := self._settings.key(which)) is not None:
            named = getattr(self._settings.flash, f"{which}_key") is not None
            return key, "setting" if named else "file"
        if (path := credential(f"flash-{which}-key")) is not None and (text := self._text(path)):
            return SecretStr(text), "credential"
        try:
            kept = self._key_file.kept(self._path(which))
        except DataKeyError as error:
            self._log.error("a kept Flash key does not open", error=error.detail)
            return None, None
        return (None, None) if kept is None else (SecretStr(kept), "kept")

    def _text(self, path: Path) -> str | None:
        """The credential, where it looks like a key."""
        try:
            text = path.read_text("utf-8-sig").strip()
        except (OSError, UnicodeDecodeError):
            text = ""
        if not FLASH_KEY.fullmatch(text):
            self._log.error("a credential is no Flash key", path=str(path))
            return None
        return text

    def _path(self, which: Which) -> Path:
        return self._data_dir / f"flash-{which}.key"
