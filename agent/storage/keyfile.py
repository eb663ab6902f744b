"""The data keys' file, `data.key` (0600) beside the database: read at the start, replaced whole when keys change.

A key is never made over rows that another key sealed: the database holds a check value, and a key file that is missing
or does not match it is a DataKeyError. What is written is on the disk, whole, before anything is sealed with it.
"""

import base64
import json
import secrets
from pathlib import Path

from agent.errors import DataKeyError
from agent.storage.sealing import KEY_BYTES, DataKeys, write_durably

_FORMAT = 1


def load_or_create_keys(path: Path, check_value: bytes | None, *, may_create: bool = True) -> DataKeys:
    """The keys in `path`; made on the first start alone, durable before they are returned.

    `check_value` is what the database remembers of its keys, None when it remembers none. `may_create` is False when
    there may be rows that another key sealed, in a database that was set aside, say.
    """
    if path.exists():
        keys = _read(path)
        if check_value is not None and not secrets.compare_digest(keys.check_value, check_value):
            raise DataKeyError("data.key is not the key that sealed this database. Put the right one back.")
        return keys
    if check_value is not None or not may_create:
        raise DataKeyError("data.key is missing, and the database holds rows that it sealed. Put it back.")
    keys = DataKeys.fresh()
    save_keys(path, keys)
    return keys


def save_keys(path: Path, keys: DataKeys) -> None:
    """Replace the file, durably; raises OSError, and then the old one is still there."""
    document = {
        "format": _FORMAT,
        "current": keys.current,
        "sealing": {str(key_id): base64.b64encode(key).decode() for key_id, key in keys.sealing.items()},
        "hashing": base64.b64encode(keys.hashing).decode(),
    }
    write_durably(path, json.dumps(document).encode())


def _read(path: Path) -> DataKeys:
    try:
        document = json.loads(path.read_text("ascii"))
        sealing = {int(key_id): base64.b64decode(key, validate=True) for key_id, key in document["sealing"].items()}
        keys = DataKeys(sealing, document["current"], base64.b64decode(document["hashing"], validate=True))
        if document["format"] != _FORMAT or keys.current not in sealing:
            raise ValueError("format")
        if any(len(key) != KEY_BYTES for key in (*sealing.values(), keys.hashing)):
            raise ValueError("length")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or "it is damaged"
        raise DataKeyError(f"data.key cannot be read: {reason}. Put it back from a backup.") from None
    return keys
