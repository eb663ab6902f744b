"""A draft on its way into the table of operations: its row, and the operation that it becomes."""

import asyncio
from typing import Any

import msgspec

from agent.delivery import Kind
from agent.outbox.operation import Accepted, Content, Draft, Operation, Verdict, new_id
from agent.outbox.state import UPSERTS, Status
from agent.storage import Sealer

COLUMNS = (
    "id, kind, scope, item, fingerprint, subjects, accepted_at, external_order, basket, business_date, request_key, "
    "key_id, content"
)


class Arrival(msgspec.Struct):
    """A draft, its row (the values of COLUMNS), and who waits for the word that it is there."""

    draft: Draft
    operation_id: str
    row: tuple[Any, ...]
    accepted_at: int
    answer: asyncio.Future[Accepted]

    @property
    def needs_history(self) -> bool:
        """Whether it depends on what is there already."""
        return self.draft.decide is not None or self.draft.kind in UPSERTS

    @property
    def may_share(self) -> bool:
        """Whether it is small enough to be written in one commit with others that depend on what is there."""
        return self.draft.kind in {Kind.ENROLLMENT, Kind.STORE}

    def operation(self, content: Content, seq: int, generation: int, *, blocked: bool) -> Operation:
        """What it is once it is written."""
        return Operation(
            seq=seq,
            id=self.operation_id,
            kind=self.draft.kind,
            status=Status.PENDING,
            generation=generation,
            blocked=blocked,
            attempts=0,
            maybe_sent=0,
            strikes=0,
            accepted_at=self.accepted_at,
            next_attempt_at=None,
            settled_at=None,
            business_date=self.draft.business_date,
            content=content,
            verdict=Verdict(),
        )


def arrive(draft: Draft, accepted_at: int, sealer: Sealer, answer: asyncio.Future[Accepted]) -> Arrival:
    """The draft, sealed under an id of its own. `accepted_at` in milliseconds."""
    operation_id, digest = new_id(accepted_at), sealer.hash
    row = (
        operation_id,
        draft.kind.value,
        digest(draft.scope),
        digest(draft.item) if draft.item else b"",
        digest(draft.fingerprint or ""),
        "[" + ", ".join(f'"{digest(subject).hex()}"' for subject in dict.fromkeys(draft.subjects)) + "]",
        accepted_at,
        digest(draft.external_order) if draft.external_order else None,
        digest(draft.basket) if draft.basket else None,
        draft.business_date,
        digest(draft.request_key) if draft.request_key else None,
        *sealer.seal(draft.content.to_bytes(), operation_id, "content"),
    )
    return Arrival(draft, operation_id, row, accepted_at, answer)
