"""May Flash be asked about a member now? What the line shows, and what look-ups themselves have met.

Three answers: open; dead (nobody sits out a time limit, and one asking at a time, with a pause between, finds the way
back); closed (nothing may leave: a drill, a Retry-After, a key that is refused or not verified). What a look-up meets
is told to the line, so that an idle till's first look-up after an outage lets its backlog flow; of a read key of its
own only what it says about reaching Flash, for its refusals and its rate limit say nothing of writes.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence

from agent.clock import Clock
from agent.delivery import Contact, Fate, Outcome
from agent.outbox.line import Connectivity, Line

PROBE_PAUSE_S = 2.0
HOLD_S = 60.0  # a refused key, or a call that its scopes do not allow
_THROTTLE_DEFAULT_S = 1.0
_SOURCE = "members"
_ORDER = (Contact.ANSWERED, Contact.TROUBLED, Contact.ENDPOINT_REFUSED, Contact.KEY_REFUSED, Contact.THROTTLED)


class Gate:
    """Times are monotonic seconds.

    `shares_key`: the write key reads, too. `is_cut_off`: a drill runs. `is_verified`: the write key is this till's own.
    `found_way` is called when a look-up has found a dead line alive, `read_key_refused` when a read key of its own met
    a 401.
    """

    def __init__(
        self,
        line: Line,
        clock: Clock,
        *,
        shares_key: Callable[[], bool],
        is_cut_off: Callable[[], bool],
        is_verified: Callable[[], bool],
        found_way: Callable[[], None],
        asked_to_wait: Callable[[Outcome], None] = lambda _outcome: None,
    ) -> None:
        self._line = line
        self._clock = clock
        self._shares_key = shares_key
        self._is_cut_off = is_cut_off
        self._is_verified = is_verified
        self._found_way = found_way
        self._asked_to_wait = asked_to_wait  # of a pause that holds for writes too, and outlives a restart
        self.read_key_refused: Callable[[], None] = lambda: None
        self._closed_until = 0.0
        self._refused_until: dict[str, float] = {}
        self._probing = False
        self._probe_from = 0.0

    @property
    def closed_for_s(self) -> float:
        """How long Flash asked to be left alone; 0 where it did not."""
        own = max(0.0, self._closed_until - self._clock.monotonic())
        return max(own, self._line.closed_for_s) if self._shares_key() else own

    @property
    def is_closed(self) -> bool:
        """Whether nothing may be asked at all."""
        if self._is_cut_off() or self.closed_for_s > 0:
            return True
        return self._shares_key() and not self._is_verified()

    @property
    def is_dead(self) -> bool:
        """Whether the line is known not to work: whoever can be answered otherwise is answered at once."""
        held = self._shares_key() and self._line.key_held
        return held or self._line.connectivity is Connectivity.OFFLINE

    @property
    def may_ask(self) -> bool:
        """Whether an asking may begin now; on a dead line one at a time, with a pause between."""
        if self.is_closed:
            return False
        if not self.is_dead:
            return True
        if self._shares_key() and self._line.key_held and not self._line.probe_due():
            return False  # a refused key is tried once a minute, by whomever
        return not self._probing and self._clock.monotonic() >= self._probe_from

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """While an asking is under way."""
        if not self.is_dead:
            yield
            return
        self._probing = True
        try:
            yield
        finally:
            self._probing = False
            self._probe_from = self._clock.monotonic() + PROBE_PAUSE_S

    def permits(self, call: str) -> bool:
        """Whether this call may go: Flash asked for no pause, and did not refuse it to the key a moment ago."""
        return not self.is_closed and self._clock.monotonic() >= self._refused_until.get(call, 0.0)

    def refused(self, call: str) -> None:
        """The key's scopes do not allow this call."""
        self._refused_until[call] = self._clock.monotonic() + HOLD_S

    @property
    def refused_calls(self) -> list[str]:
        """The calls that the key's scopes do not allow, as far as a look-up has met that lately; sorted."""
        now = self._clock.monotonic()
        return sorted(call for call, until in self._refused_until.items() if until > now)

    def key_changed(self) -> None:
        """Another key reads from now on: what was refused to the one before says nothing of it."""
        self._closed_until = 0.0
        self._refused_until.clear()

    def learn(self, outcomes: Sequence[Outcome]) -> None:
        """What one asking met: each kind of contact counts once, and no connection only where nothing got through."""
        if not outcomes:
            return
        met = {outcome.contact: outcome for outcome in outcomes}
        for contact in _ORDER:
            if contact in met:
                self._meet(met[contact])
        if met.keys() == {Contact.UNREACHABLE}:
            self._meet(met[Contact.UNREACHABLE])

    def _meet(self, outcome: Outcome) -> None:
        now = self._clock.monotonic()
        if not self._shares_key() and outcome.contact is Contact.KEY_REFUSED:
            self._closed_until = max(self._closed_until, now + HOLD_S)
            self.read_key_refused()
        elif not self._shares_key() and outcome.contact is Contact.THROTTLED:
            self._closed_until = max(self._closed_until, now + (outcome.retry_after_s or _THROTTLE_DEFAULT_S))
        elif self._shares_key() or not self._line.key_held:  # an answer to the read key releases no write key
            was_dead = self._line.needs_probe
            self._line.report("", outcome, source=_SOURCE)
            if outcome.retry_after_s:
                self._asked_to_wait(outcome)
            if was_dead and not self._line.needs_probe:
                self._found_way()


ANSWERED = Outcome(Fate.SUCCEEDED, Contact.ANSWERED)  # what a value says of the line
