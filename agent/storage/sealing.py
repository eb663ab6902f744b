"""Sealing at rest: AES-256-GCM for contents, keyed hashes for what is looked up.

A sealed value is `nonce (12 bytes) || ciphertext and tag`; the id of the row and the column's name are its associated
data, so that a value moved to another row or column does not open. The id of the key stands in the row. The keyed
hashes (BLAKE2b, 16 bytes) have a key of their own that never rotates, since they are the identity of what is stored.
Where the keys are kept: `keyfile.py`.
"""

import base64
import hashlib
import os
import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agent.errors import DataKeyError, SealBrokenError

_NONCE_BYTES = 12
_NONCES_AT_ONCE = 256
_HASH_BYTES = 16
KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class DataKeys:
    """The keys of one data directory: sealing keys by id, the current id, and the key of the hashes."""

    sealing: dict[int, bytes] = field(repr=False)
    current: int
    hashing: bytes = field(repr=False)

    @property
    def check_value(self) -> bytes:
        """Recognises these keys without revealing them; kept in the database."""
        return hashlib.blake2b(b"check", key=self.hashing, digest_size=_HASH_BYTES).digest()

    @property
    def older(self) -> frozenset[int]:
        """The ids of the keys that open and no longer seal."""
        return frozenset(self.sealing) - {self.current}

    @classmethod
    def fresh(cls) -> "DataKeys":
        """Keys that nobody has had before."""
        return cls({1: secrets.token_bytes(KEY_BYTES)}, 1, secrets.token_bytes(KEY_BYTES))

    def as_document(self) -> dict[str, Any]:
        """As JSON can hold them."""
        return {
            "current": self.current,
            "sealing": {str(key_id): base64.b64encode(key).decode() for key_id, key in self.sealing.items()},
            "hashing": base64.b64encode(self.hashing).decode(),
        }

    @classmethod
    def from_document(cls, document: Any) -> "DataKeys":
        """From `as_document`; raises ValueError where it is none."""
        try:
            sealing = {int(key_id): base64.b64decode(key, validate=True) for key_id, key in document["sealing"].items()}
            keys = cls(sealing, document["current"], base64.b64decode(document["hashing"], validate=True))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError("no data keys") from None
        if keys.current not in sealing or any(len(key) != KEY_BYTES for key in (*sealing.values(), keys.hashing)):
            raise ValueError("no data keys")
        return keys

    def renewed(self) -> "DataKeys":
        """With a new sealing key, which seals from now on. Ids are never used again."""
        new = max(self.sealing) + 1
        return replace(self, sealing={**self.sealing, new: secrets.token_bytes(KEY_BYTES)}, current=new)

    def without(self, key_ids: Collection[int]) -> "DataKeys":
        """Without these older keys."""
        dropped = self.older & set(key_ids)
        return replace(self, sealing={each: key for each, key in self.sealing.items() if each not in dropped})


class Sealer:
    """Seals, opens and hashes with one set of keys. Safe to use from any thread."""

    def __init__(self, keys: DataKeys) -> None:
        self.adopt(keys)
        self._hash = hashlib.blake2b(key=keys.hashing, digest_size=_HASH_BYTES)  # keyed once, then copied
        self._nonces: Iterator[bytes] = iter(())

    def adopt(self, keys: DataKeys) -> None:
        """Seal with these keys' current one from now on; they must be on the disk already. Hashes stay as they are."""
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.sealing.items()}
        # One value, so that no thread takes the one's id and the other's key.
        self._sealing = (keys.current, self._ciphers[keys.current])

    @property
    def key_id(self) -> int:
        """The id of the key that seals now."""
        return self._sealing[0]

    def seal(self, plain: bytes, row_id: str, column: str) -> tuple[int, bytes]:
        """Seal one value for one row and column: the id of the key, and what is sealed."""
        key_id, cipher = self._sealing
        nonce = next(self._nonces, None) or self._next_nonce()
        return key_id, nonce + cipher.encrypt(nonce, plain, f"{row_id}/{column}".encode())

    def _next_nonce(self) -> bytes:
        """One of fresh random bytes; the rest for those after it: a system call a value would be felt."""
        drawn = os.urandom(_NONCE_BYTES * _NONCES_AT_ONCE)
        nonces = [drawn[at : at + _NONCE_BYTES] for at in range(0, len(drawn), _NONCE_BYTES)]
        self._nonces = iter(nonces[1:])  # a list's iterator gives each one once, whichever threads ask
        return nonces[0]

    def open(self, sealed: bytes, row_id: str, column: str, key_id: int) -> bytes:
        """Open one value; raises SealBrokenError when the key is unknown or the value was altered or moved."""
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise SealBrokenError(f"A row is sealed with data key {key_id}, which data.key does not hold.")
        try:
            return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], f"{row_id}/{column}".encode())
        except (InvalidTag, ValueError):
            raise SealBrokenError(f"The {column} of {row_id} does not open with data key {key_id}.") from None

    def hash(self, text: str) -> bytes:
        """The keyed hash of a text: 16 bytes, the same for ever in this data directory."""
        state = self._hash.copy()
        state.update(text.encode())
        return state.digest()


class NoSealer(Sealer):
    """Stands in where the data key is missing: whatever would need it is refused, with the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(DataKeys({0: bytes(KEY_BYTES)}, 0, bytes(KEY_BYTES)))
        self._reason = reason

    def seal(self, plain: bytes, row_id: str, column: str) -> tuple[int, bytes]:  # noqa: ARG002
        raise DataKeyError(self._reason, retry_after_s=30)

    def open(self, sealed: bytes, row_id: str, column: str, key_id: int) -> bytes:  # noqa: ARG002
        raise DataKeyError(self._reason, retry_after_s=30)

    def hash(self, text: str) -> bytes:  # noqa: ARG002
        raise DataKeyError(self._reason, retry_after_s=30)
