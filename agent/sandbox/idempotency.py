"""The memory behind Idempotency-Key: a retried write replays its first result, another payload is refused.

Keys are scoped to tenant and endpoint. The memory is bounded: beyond `size` keys the oldest finished ones are
forgotten, as a real server does after a while; natural keys still protect orders, refunds and upserts then.
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

from agent.sandbox import assumed
from agent.sandbox.calls import Answer
from agent.sandbox.refusals import Refusal, invalid

Slot = tuple[str, str, str]
"""Tenant, endpoint, key."""


@dataclass(slots=True)
class _Entry:
    fingerprint: bytes
    answer: Answer | None = None


class IdempotencyMemory:
    """`begin`; when that returns None, do the work and `finish` or, without a result, `abandon`."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[Slot, _Entry] = OrderedDict()

    def begin(self, slot: Slot, path: str, body: bytes) -> Answer | None:
        """The stored result to replay, or None when this call is the first and now owns the key."""
        if not 1 <= len(slot[2]) <= assumed.MAX_IDEMPOTENCY_KEY:
            raise invalid("Idempotency-Key", f"must have 1 to {assumed.MAX_IDEMPOTENCY_KEY} characters")
        fingerprint = hashlib.sha256(path.encode() + b"\0" + body).digest()
        entry = self._entries.get(slot)
        if entry is None:
            self._entries[slot] = _Entry(fingerprint)
            return None
        if entry.fingerprint != fingerprint:
            raise Refusal(*assumed.IDEMPOTENCY_CONFLICT, "this Idempotency-Key was used for another payload")
        if entry.answer is None:
            raise Refusal(*assumed.IDEMPOTENCY_IN_FLIGHT, "the first call with this Idempotency-Key still runs")
        return entry.answer

    def finish(self, slot: Slot, answer: Answer) -> None:
        entry = self._entries.get(slot)
        if entry is None:
            return
        entry.answer = answer
        self._entries.move_to_end(slot)
        self._shrink()

    def abandon(self, slot: Slot) -> None:
        """Free the key of a call that ended without a result to keep."""
        self._entries.pop(slot, None)

    def forget(self) -> None:
        """Drop every key, as a server does once they are old."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)

    def _shrink(self) -> None:
        while len(self._entries) > self._size:
            oldest = next((slot for slot, entry in self._entries.items() if entry.answer), None)
            if oldest is None:
                return
            del self._entries[oldest]
