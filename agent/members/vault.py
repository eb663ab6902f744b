"""Sealed columns of the members room: JSON in, bytes with the key's own id in front out, bound to row and column."""

from typing import Any

from agent import jsons
from agent.errors import SealBrokenError
from agent.storage import Sealer

_KEY_ID_BYTES = 4


class Vault:
    """Seals, opens and hashes for the members room."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def seal(self, value: Any, row_id: str, column: str) -> bytes:
        """A value that JSON can hold."""
        return self._with_key_id(*self._sealer.seal(jsons.encode(value), row_id, column))

    @staticmethod
    def _with_key_id(key_id: int, sealed: bytes) -> bytes:
        return key_id.to_bytes(_KEY_ID_BYTES, "big") + sealed

    def reseal(self, sealed: bytes, row_id: str, column: str) -> bytes | None:
        """The same under the key that seals now; None where that is so already, or where it does not open."""
        key_id = int.from_bytes(sealed[:_KEY_ID_BYTES], "big")
        if key_id == self._sealer.key_id:
            return None
        try:
            plain = self._sealer.open(sealed[_KEY_ID_BYTES:], row_id, column, key_id)
        except SealBrokenError:
            return None
        return self._with_key_id(*self._sealer.seal(plain, row_id, column))

    def open(self, sealed: bytes | None, row_id: str, column: str) -> Any:
        """The value; None for what is not there, or does not open any more: a snapshot can be asked for again."""
        if sealed is None:
            return None
        key_id = int.from_bytes(sealed[:_KEY_ID_BYTES], "big")
        try:
            return jsons.loads_own(self._sealer.open(sealed[_KEY_ID_BYTES:], row_id, column, key_id))
        except (SealBrokenError, ValueError):
            return None

    def coupon_hash(self, coupon_id: str) -> bytes:
        """The keyed hash by which a coupon is found."""
        return self._sealer.hash(f"coupon:{coupon_id}")

    def hash(self, subject: str) -> bytes:
        """The keyed hash by which a subject is found."""
        return self._sealer.hash(subject)
