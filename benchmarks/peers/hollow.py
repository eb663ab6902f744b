"""The agent without its storage: its own API, guard, models and intake over an outbox that keeps nothing.

What the agent would do if a disk cost nothing. The one place in here that looks inside the agent: it swaps the
``Store`` that the composition root builds, and is then started like the agent itself.
``python -m benchmarks.peers.hollow run --data-dir D``
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence

from agent.app import agent as composed
from agent.cli.main import main
from agent.clock import Clock
from agent.delivery import Kind
from agent.outbox.operation import Accepted, Draft, Operation, Verdict, new_id
from agent.outbox.state import Status
from agent.outbox.store import Store
from agent.storage import Database, Sealer


class HollowStore(Store):
    """Accepts and forgets at once: nothing is sealed, written, or ever there to be sent."""

    def __init__(self, database: Database, sealer: Sealer, clock: Clock) -> None:
        super().__init__(database, sealer, clock)
        self._now_ms = clock.steady_ms
        self._numbers = itertools.count(1)

    async def accept(self, draft: Draft) -> Accepted:
        """Say yes."""
        accepted_at = self._now_ms()
        operation = Operation(
            seq=next(self._numbers),
            id=new_id(accepted_at),
            kind=draft.kind,
            status=Status.PENDING,
            generation=1,
            blocked=False,
            attempts=0,
            maybe_sent=0,
            strikes=0,
            accepted_at=accepted_at,
            next_attempt_at=None,
            settled_at=None,
            business_date=draft.business_date,
            content=draft.content,
            verdict=Verdict(),
        )
        return Accepted(operation, replayed=False)

    async def claim(self, kind: Kind, limit: int, *, fresh: bool) -> list[Operation]:  # noqa: ARG002
        """There is never anything to send."""
        return []

    async def claim_waiting(self, seqs: Sequence[int]) -> list[Operation]:  # noqa: ARG002
        """Nor for those who wait."""
        return []

    async def next_due(self) -> int | None:
        """Nor will there be."""
        return None


if __name__ == "__main__":
    setattr(composed, "Store", HollowStore)  # noqa: B010 - a name that the module does not offer
    sys.exit(main())
