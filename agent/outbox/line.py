"""The line to Flash as one till sees it: may anything be sent now, how much at once, and what to tell people.

A state machine without I/O; the relay asks before it sends and reports what came back.

    starting ──▶ online ◀──▶ offline        no answer, or three operations in trouble; probes find the way back
                   ▲ │
                   │ └─────▶ throttled       429: nobody sends before Retry-After
                   └───────▶ unauthorized    401: what uses the key is held; a probe a minute

A 403 holds one endpoint and is no state of the line. After an outage one probe goes at a time; its success opens a
window of one request that grows by one with each success (additive increase) and halves on 429.

An outage drill makes it look dead from outside; what it really is goes on being learned beneath (from what was under
way) and is shown again when the drill ends. Pauses and holds are not touched by it.
"""

from collections.abc import Callable
from enum import StrEnum

import msgspec

from agent.clock import Clock, to_ms
from agent.delivery import Contact, Fate, Outcome
from agent.outbox.pace import Pace
from agent.outbox.retry import line_wait_s

TROUBLES_UNTIL_OFFLINE = 3
_THROTTLE_DEFAULT_S = 1.0


class Connectivity(StrEnum):
    """What the last contact showed."""

    STARTING = "starting"
    ONLINE = "online"
    OFFLINE = "offline"
    THROTTLED = "throttled"
    UNAUTHORIZED = "unauthorized"


class _Beneath(msgspec.Struct):
    """What the line really is while a drill runs."""

    connectivity: Connectivity
    failures: int


class Line:
    """Times are monotonic seconds. `changed` is called whenever `connectivity` may have changed."""

    def __init__(
        self,
        clock: Clock,
        *,
        max_in_flight: int,
        start_delay_s: float,
        hold_probe_s: float,
        pace: Pace | None = None,
    ) -> None:
        self._clock = clock
        self._max_in_flight = max_in_flight
        self._hold_probe_s = hold_probe_s
        self._window = 1
        self._backlog_from = clock.monotonic() + start_delay_s
        self._pace = pace or Pace()
        self._dead_since: float | None = None  # offline: since when
        self._closed_until = 0.0  # nobody sends before: Retry-After
        self._probe_from: float | None = None  # offline: when the next probe may go
        self._failures = 0  # since the last operation that Flash answered; a probe's success does not clear them
        self._troubled_sources: set[str] = set()
        self._key_held_until: float | None = None
        self._held_endpoints: dict[str, float] = {}
        self._drill: _Beneath | None = None
        self.connectivity = Connectivity.STARTING
        self.heard_a_stranger = False  # the last contact was with something that is not Flash
        self.last_contact_ms: int | None = None
        self.last_success_ms: int | None = None
        self.changed: Callable[[], None] = lambda: None

    @property
    def window(self) -> int:
        """How many requests the backlog may have in flight once it is not spread over time any more."""
        return self._window

    @property
    def places(self) -> int:
        """How many requests the backlog may have in flight now: one while they are spread over time."""
        return 1 if self._pace.spread_s else self._window

    @property
    def is_open(self) -> bool:
        """Whether operations flow; a closed line wants a probe first."""
        return self._probe_from is None and self._key_held_until is None and self._now() >= self._closed_until

    @property
    def needs_probe(self) -> bool:
        """Whether the way back is found by a probe (an outage, or a refused key)."""
        return self._probe_from is not None or self._key_held_until is not None

    @property
    def key_held(self) -> bool:
        """Whether the write key is in question."""
        return self._key_held_until is not None

    @property
    def closed_for_s(self) -> float:
        """How long Flash asked to be left alone from now on; 0 when it did not."""
        return max(0.0, self._closed_until - self._now())

    @property
    def held_endpoints(self) -> list[str]:
        """Endpoints that a 403 holds, sorted."""
        return sorted(self._held_endpoints)

    def _now(self) -> float:
        return self._clock.monotonic()

    def permits_backlog(self, endpoint: str) -> bool:
        """Whether a backlog operation may go to this endpoint now; a held endpoint lets one through when it is due."""
        begins_at = max(self._backlog_from, self._pace.next_at)
        return self.is_open and self._now() >= begins_at and self.permits_endpoint(endpoint)

    def permits_waiting(self, endpoint: str) -> bool:
        """Whether an operation that somebody waits for may go now: it may serve as the probe of a dead line."""
        return self._now() >= self._closed_until and self._key_held_until is None and self.permits_endpoint(endpoint)

    def permits_endpoint(self, endpoint: str) -> bool:
        """Whether no 403 holds this endpoint now, whatever the line."""
        return self._now() >= self._held_endpoints.get(endpoint, 0.0)

    def try_endpoint(self, endpoint: str) -> None:
        """One operation goes to a held endpoint now; the next one not before its answer, or the next minute."""
        self._held_endpoints[endpoint] = self._now() + self._hold_probe_s

    def probe_due(self) -> bool:
        """Whether a probe may go now."""
        due = self._next_probe()
        return due is not None and self._now() >= due

    def _next_probe(self) -> float | None:
        times = [time for time in (self._probe_from, self._key_held_until) if time is not None]
        return max([*times, self._closed_until]) if times else None

    def next_change_s(self, since: float) -> float | None:
        """Seconds until something may be permitted that was not at the time `since`; None when nothing is timed.

        Asked with the time at which the caller began to look, so that what changed while it looked is not missed.
        """
        times = [self._backlog_from, self._pace.next_at, self._closed_until, *self._held_endpoints.values()]
        if (probe := self._next_probe()) is not None:
            times.append(probe)
        first = min((time for time in times if time > since), default=None)
        return None if first is None else max(0.0, first - self._now())

    def close_for(self, delay_s: float) -> None:
        """Send nothing for a while: a Retry-After that outlived a restart."""
        self._closed_until = self._now() + delay_s
        self._become(Connectivity.THROTTLED)

    def hold_key(self, *, probe_now: bool = False) -> None:
        """Hold everything that uses the write key until a probe finds it taken."""
        self._key_held_until = self._now() + (0.0 if probe_now else self._hold_probe_s)
        self._become(Connectivity.UNAUTHORIZED)

    def release_key(self) -> None:
        """The key may be used again."""
        self.forget_refusals()
        self._become(Connectivity.STARTING)

    def forget_refusals(self) -> None:
        """The key is another one: what was refused to the one before says nothing of it. What it met is to follow."""
        self._key_held_until = None
        self._held_endpoints.clear()

    def begin_drill(self) -> None:
        """Be as dead as in an outage until `end_drill`."""
        if self._drill is None:
            self._drill = _Beneath(self.connectivity, self._failures)
            self._failures = 0
            self._probe_from = self._now()
            self._become(Connectivity.OFFLINE)

    def end_drill(self) -> None:
        """Be what the line was, or has shown itself to be since; where it was dead a probe may go at once."""
        if (beneath := self._drill) is not None:
            self._drill = None
            self._failures = beneath.failures
            self._window = 1
            self._probe_from = self._now() if beneath.connectivity is Connectivity.OFFLINE else None
            self._become(beneath.connectivity)

    def report(self, endpoint: str, outcome: Outcome, *, probe: bool = False, source: str = "") -> None:
        """Learn from one attempt.

        `endpoint` is empty for a read; `probe`: this attempt was the one that a dead line was given; `source` names the
        operation, so that one in trouble again and again is not taken for an outage.
        """
        if self._drill is not None and outcome.contact is Contact.UNREACHABLE and outcome.unsent:
            self._fail(None, probe=probe)  # the drill's own answer says nothing of what the line really is
            return
        self.heard_a_stranger = outcome.code == "unexpected-answer"
        if outcome.contact is not Contact.UNREACHABLE:
            self.last_contact_ms = to_ms(self._clock.now())
        match outcome.contact:
            case Contact.ANSWERED:
                self._answered(endpoint, outcome.fate)
            case Contact.ENDPOINT_REFUSED:
                if endpoint:
                    self._held_endpoints[endpoint] = self._now() + self._hold_probe_s
                self._reached(grow=False)
            case Contact.KEY_REFUSED:
                self._revive()
                self.hold_key()
            case Contact.THROTTLED:
                self._throttled(outcome.retry_after_s)
            case Contact.TROUBLED:
                self._troubled(outcome.retry_after_s, probe=probe, source=source)
            case Contact.UNREACHABLE:
                self._fail(outcome.retry_after_s, probe=probe)

    def _answered(self, endpoint: str, fate: Fate) -> None:
        self._held_endpoints.pop(endpoint, None)
        if endpoint:
            self._failures = 0
            self._troubled_sources.clear()
            if fate in {Fate.SUCCEEDED, Fate.DECLINED}:
                self.last_success_ms = to_ms(self._clock.now())
        self._reached(grow=bool(endpoint))

    def _reached(self, *, grow: bool) -> None:
        was_closed = self.needs_probe
        if not self._revive() and grow:
            self._pace.succeeded(self._now())
        self._key_held_until = None
        if was_closed:
            self._window = 1
        elif grow:
            self._window = min(self._window + 1, self._max_in_flight)
        if self._now() >= self._closed_until:
            self._become(Connectivity.ONLINE)

    def _revive(self) -> bool:
        """The line is not dead; returns whether it was."""
        was_dead_since, self._dead_since = self._dead_since, None
        self._probe_from = None if self._drill is None else self._now()
        if was_dead_since is not None:
            self._pace.returned(self._now(), self._now() - was_dead_since)
        return was_dead_since is not None

    def _throttled(self, retry_after_s: float | None) -> None:
        self._revive()
        self._failures += 1
        self._window = max(1, self._window // 2)
        is_news = self.is_open  # several that were under way together are refused together: that is one refusal
        wait_s = retry_after_s or max(line_wait_s(self._failures, None), _THROTTLE_DEFAULT_S)
        self._closed_until = max(self._closed_until, self._now() + wait_s)
        self._pace.throttled(self._now(), self._closed_until, is_news=is_news)
        self._become(Connectivity.THROTTLED)

    def _troubled(self, retry_after_s: float | None, *, probe: bool, source: str) -> None:
        self._troubled_sources.add(source)
        if retry_after_s:
            self._closed_until = max(self._closed_until, self._now() + retry_after_s)
            self._pace.held(self._closed_until)
            self._become(Connectivity.THROTTLED)
        if self._probe_from is not None or len(self._troubled_sources) >= TROUBLES_UNTIL_OFFLINE:
            self._fail(None, probe=probe)

    def _fail(self, retry_after_s: float | None, *, probe: bool) -> None:
        """The line is dead. Of those that were under way when it died the first counts, then each probe."""
        if self._dead_since is None and self._drill is None:
            self._dead_since = self._now()
        if self._probe_from is None or probe:
            self._failures += 1
            self._probe_from = self._now() + line_wait_s(self._failures, retry_after_s)
        self._become(Connectivity.OFFLINE)

    def _become(self, connectivity: Connectivity) -> None:
        if self._drill is not None and connectivity is not Connectivity.OFFLINE:
            self._drill.connectivity, connectivity = connectivity, Connectivity.OFFLINE
        self.connectivity = connectivity
        self.changed()
