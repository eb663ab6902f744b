"""One attempt, alone or as a batch: whatever happens becomes an outcome, and the line hears of it.

Called by the relay, which decides what is sent when. Fails by logging, never by raising: what came of it is not known
then, and the operation is put back.
"""

from collections.abc import Sequence

from agent import logs
from agent.clock import Clock
from agent.delivery import BATCH_REFUSED, BATCHABLE, NOT_LEFT, Contact, Fate, Kind, MayLeave, Outcome, Sender
from agent.outbox.line import Line
from agent.outbox.operation import Operation
from agent.outbox.patience import Patience
from agent.outbox.rows import DAMAGED

NO_BATCHES_FOR_S = 3600.0  # where Flash has no such call
BATCH_PAUSE_S = 10.0  # where it refused one batch: its items go singly first
UNREADABLE = Outcome(Fate.FAILED, Contact.ANSWERED, DAMAGED.code, DAMAGED.detail, unsent=True)
_OWN_FAULT = Outcome(Fate.RETRY, Contact.ANSWERED, "internal", "The agent failed to send this; its log says why.")
_TOO_LATE = Outcome(
    Fate.RETRY, Contact.ANSWERED, "throttled", "Flash asked to slow down just before this was to go.", unsent=True
)
_SAYS_NOTHING_OF_THE_LINE = (UNREADABLE, _OWN_FAULT, _TOO_LATE, NOT_LEFT)


class Attempts:
    """Makes attempts, and remembers where batches are not taken."""

    def __init__(self, sender: Sender, line: Line, patience: Patience, clock: Clock) -> None:
        self._sender = sender
        self._line = line
        self._patience = patience
        self._clock = clock
        self._no_batches_until: dict[Kind, float] = {}
        self._log = logs.get()

    async def alone(self, operation: Operation, may_leave: MayLeave | None = None) -> Outcome:
        """One attempt, unless Flash has asked for silence since it was claimed: that takes a commit, and its time.

        `may_leave`: as a parcel has it.
        """
        if not operation.content:
            return UNREADABLE
        try:
            return _TOO_LATE if self._line.closed_for_s > 0 else await self._sender.send(operation.parcel(may_leave))
        except Exception:  # noqa: BLE001 - put back, never lost
            self._log.exception("send failed", operation=operation.id, kind=operation.kind.value)
            return _OWN_FAULT

    async def learn(self, operation: Operation, outcome: Outcome, *, probe: bool = False) -> None:
        """Tell the line what an attempt met; of a `probe` a failure lengthens the pause."""
        if outcome not in _SAYS_NOTHING_OF_THE_LINE:
            self._line.report(operation.kind, outcome, probe=probe, source=operation.id)
        await self._patience.note(outcome)

    async def batch(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """One attempt for all, which are of one kind; an outcome for each, and the line knows of it."""
        kind = operations[0].kind
        try:
            parcels = [operation.parcel() for operation in operations]
            answer = _TOO_LATE if self._line.closed_for_s > 0 else await self._sender.send_batch(parcels)
        except Exception:  # noqa: BLE001 - as above
            self._log.exception("send failed", kind=kind.value, count=len(operations))
            answer = _OWN_FAULT
        if not isinstance(answer, Outcome):
            self._line.report(kind, Outcome(Fate.SUCCEEDED, Contact.ANSWERED))
            return answer
        await self.learn(operations[0], answer)
        if answer.code == BATCH_REFUSED:
            pause_s = NO_BATCHES_FOR_S if answer.http_status in {404, 405, 501} else BATCH_PAUSE_S
            self._no_batches_until[kind] = self._clock.monotonic() + pause_s
        return [answer] * len(operations)

    def take_batches(self, kind: Kind) -> bool:
        """Whether Flash takes several of a kind at once, as far as is known."""
        return kind in BATCHABLE and self._clock.monotonic() >= self._no_batches_until.get(kind, float("-inf"))
