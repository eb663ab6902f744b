"""The data keys once more, in `data.key.recovery`, sealed to `[keys] recovery`: for a disk without its system.

What protects `data.key` may die with the machine: DPAPI with its Windows, a credential with its TPM. So the agent seals
the keys also to a recipient (`age1…`) whose identity lies at head office and never on a till. The file is written
before `data.key` is, whenever that is, and at the start where it is missing or says something else; so nothing is ever
sealed with a key that head office could not recover. Nobody reads it but `flash-agent rescue`.

    {"format": 1, "recipient": "age1…", "keys": "a keyed hash of what is sealed", "age": "-----BEGIN AGE …"}
"""

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

from agent import agefile
from agent.errors import ConfigError, DataKeyError
from agent.storage import DataKeys, write_durably

_FORMAT = 1


def path_beside(data_key: Path) -> Path:
    """Where it lies."""
    return data_key.with_name(f"{data_key.name}.recovery")


class Recovery:
    """The recovery file of one data directory; without a recipient there is none, and one that is there stays."""

    def __init__(self, recipient: str | None, data_key: Path) -> None:
        self._recipient = recipient
        self._path = path_beside(data_key)

    def keep(self, keys: DataKeys) -> None:
        """See to it that the file holds these keys for the recipient; raises OSError, and ConfigError for a bad one."""
        if self._recipient is None or self._is_kept(keys):
            return
        try:
            agefile.check_recipient(self._recipient)
        except ValueError as error:
            raise ConfigError(f"[keys] recovery {error}.") from None
        sealed = agefile.seal(json.dumps(keys.as_document()).encode(), self._recipient, armored=True)
        document = {"format": _FORMAT, "recipient": self._recipient, "keys": _hash(keys), "age": sealed.decode("ascii")}
        write_durably(self._path, json.dumps(document).encode())

    def _is_kept(self, keys: DataKeys) -> bool:
        """Whether it says so itself; what it seals nobody here can look at."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            document = json.loads(self._path.read_text("ascii"))
            said = (document["format"], document["recipient"], document["keys"])
            return said == (_FORMAT, self._recipient, _hash(keys)) and bool(document["age"])
        return False


def reveal(path: Path, identity: str) -> DataKeys:
    """The keys that a recovery file holds; raises DataKeyError, or AgeError where the identity does not open it."""
    try:
        document: dict[str, Any] = json.loads(path.read_text("ascii"))
        sealed = document["age"].encode("ascii")
    except OSError as error:
        raise DataKeyError(f"{path.name} cannot be read: {error.strerror}.") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DataKeyError(f"{path.name} is damaged.") from None
    plain = agefile.unseal(sealed, identity)
    try:
        return DataKeys.from_document(json.loads(plain))
    except ValueError:
        raise DataKeyError(f"{path.name} does not hold data keys.") from None


def _hash(keys: DataKeys) -> str:
    """Tells these keys from others and reveals nothing."""
    plain = json.dumps(keys.as_document(), sort_keys=True).encode()
    return hashlib.blake2b(plain, key=keys.hashing, digest_size=16, person=b"flash-agent recv").hexdigest()
