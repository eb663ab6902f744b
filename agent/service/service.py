"""The agent as the API sees it: the intake, the outbox and the relay behind a handful of verbs.

Built by the composition root; fails with the errors of the rooms below.
"""

import asyncio
import functools
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agent import __version__, logs
from agent.clock import Clock, rfc3339, to_ms
from agent.config import Settings
from agent.delivery import Kind, Outcome
from agent.errors import Fault, GoneError, InvalidError, StorageUnavailableError
from agent.flashkeys import Which
from agent.health import Health, how_many
from agent.outbox.exposure import add_up
from agent.outbox.line import Connectivity
from agent.outbox.operation import Operation
from agent.outbox.reading import Counts
from agent.redemption.exposure import figures, sheet
from agent.service.keys import Keys
from agent.service.parts import Parts

if TYPE_CHECKING:
    from agent.importing import Importing
    from agent.reconcile.feed import FlashOrders
    from agent.rescue.taking import Taking
    from agent.service.diagnosis import Diagnosis

FEATURES = (
    "sales",
    "refunds",
    "enrollments",
    "members",
    "redemptions",
    "exposure",
    "operations",
    "metrics",
    "flash-orders",
    "drill",
    "receipts",
    "events",
    "summary",
    "tokens",
    "data-key-rotation",
    "flash-key-rotation",
    "documents",
    "stores",
    "catalogs",
    "spool",
    "diagnostics",
    "rescue",
)
SKEW_TOLERATED_S = 120.0
READY_CACHE_S = 1.0
READY_BYTES = 4096  # about what a sale takes, so that ready means that one fits


class Service:
    """What can be asked of a running agent."""

    def __init__(self, settings: Settings, clock: Clock, health: Health, parts: Parts) -> None:
        self._settings = settings
        self._clock = clock
        self._health = health
        self._database = parts.database
        self._relay = parts.relay
        self._line = parts.line
        self._flash = parts.flash
        self._key_guard = parts.key_guard
        self._unconfirmed = parts.unconfirmed
        self.intake = parts.intake
        self.store = parts.store
        self.drill = parts.drill
        self.wordings = parts.wordings
        self.events = parts.events
        self.redeeming = parts.redeeming
        self.members = parts.members
        self.tokens = parts.tokens
        self.keys = Keys(parts)
        self._key_swap = parts.key_swap
        self._flash_keys = parts.flash_keys
        self.spooled: Callable[[], list[dict[str, Any]]] = list  # the states of the spool folders
        self._diagnosis: Diagnosis | None = None
        self._written_at = float("-inf")
        self._summing = asyncio.Lock()
        self._said_of_line = Connectivity.STARTING
        self._log = logs.get()

    @property
    def currency(self) -> str:
        """The till's own."""
        return self._settings.store.currency

    @functools.cached_property
    def importing(self) -> "Importing":
        """Takes other systems' documents in. Loaded when first used: most tills never are sent one."""
        from agent.importing import Importing  # noqa: PLC0415

        return Importing(self.intake, self._settings, self._relay.wake)

    @functools.cached_property
    def rescuing(self) -> "Taking":
        """Takes what other tills left. Loaded when first used: most tills never do."""
        from agent.rescue.taking import Taking  # noqa: PLC0415

        def wake() -> None:
            self._relay.wake()
            self._unconfirmed.wake()

        return Taking(self.store, self._flash, self._settings.store.store_id, wake)

    @functools.cached_property
    def flash_orders(self) -> "FlashOrders":
        """Reads Flash's feed of changed orders. Loaded when first used: a till is reconciled now and then."""
        from agent.flash.reads import Reads  # noqa: PLC0415
        from agent.reconcile.feed import FlashOrders  # noqa: PLC0415

        busy = lambda: self._relay.cashiers_are_about  # noqa: E731
        return FlashOrders(Reads(self._flash), self.members.gate, self.store, self._clock, busy)

    def _diagnose(self) -> "Diagnosis":
        """Tries the keys at Flash. Loaded when first used: somebody looks for a fault."""
        from agent.service.diagnosis import Diagnosis  # noqa: PLC0415

        self._diagnosis = self._diagnosis or Diagnosis(
            self._flash,
            self._clock,
            self._settings.store.store_id,
            keep_off=self._keep_off,
            may_write=lambda: self._key_guard.verified,
            learn=self._learn_pause,
        )
        return self._diagnosis

    def _keep_off(self, which: Which) -> str | None:
        """Why Flash may not be asked with a key now."""
        if self.drill.is_on:
            return "drill"
        paused = self._line.closed_for_s > 0 if which == "write" else self.members.gate.closed_for_s > 0
        return "paused" if paused else None

    def _learn_pause(self, which: Which, outcome: Outcome) -> None:
        """A pause that Flash asked for while it was diagnosed holds for all."""
        if which == "read" and not self._flash.reads_with_write_key:
            self.members.gate.learn([outcome])
            return
        self._line.report("", outcome, source="diagnosis")
        if outcome.retry_after_s:
            self._relay.remember_pause(outcome)

    async def diagnostics(self) -> dict[str, Any]:
        """The fields of DiagnosticsView."""
        facts = await self._diagnose().facts()
        rows = await self._database.fetch("SELECT room, max(number) FROM migration GROUP BY room")
        return {
            **facts,
            "connectivity": self._line.connectivity.value,
            "closedForSeconds": round(self._line.closed_for_s, 1),
            "heldEndpoints": self._line.held_endpoints,
            "drill": self.drill.is_on,
            "keyVerified": self._key_guard.verified,
            "flashKeys": dict(self._flash_keys.sources),
            "schemaVersions": {str(room): int(number) for room, number in rows},
        }

    def wake(self, kind: Kind) -> None:
        """Something of a kind may be ready to be sent."""
        self._relay.wake(kind)

    async def send(self, operation: Operation, wait_s: float) -> Operation:
        """Let the relay have an accepted operation; with a wait, return it as it is at the wait's end."""
        self._relay.wake(operation.kind)
        if wait_s <= 0:
            return operation
        await self._relay.settle_within(operation, wait_s)
        return await self.store.get(operation.id)

    async def retry(self, operation_id: str) -> Operation:
        """Send a failed operation again."""
        operation = await self.store.retry(operation_id)
        self._relay.wake()
        self._unconfirmed.wake(now=True)
        await self.count()
        return operation

    async def discard(self, operation_id: str, by: str, reason: str) -> tuple[Operation, list[dict[str, str]]]:
        """Give an operation up; what depended on it goes on or goes with it."""
        result = await self.store.discard(operation_id, by, reason)
        self._unconfirmed.wake()
        self._relay.wake()
        await self.count()
        return result

    async def close(self, operation_id: str, by: str, *, burned: bool | None, reason: str) -> Operation:
        """An operator's word on what a redemption or a catalog left open."""
        operation = await self.store.close(operation_id, burned=burned, by=by, reason=reason)
        self._unconfirmed.wake()
        await self.count()
        return operation

    def keys_changed(self) -> None:
        """Another Flash key came into force: what was held or paused by the one before goes on."""
        self._diagnosis = None  # it is of the key before
        self._relay.wake()
        self._unconfirmed.wake(now=True)

    async def check_writable(self) -> None:
        """Write what a sale takes, at most once a second; raises what the storage raises where none would fit."""
        if "data-key-unavailable" in self._health:
            raise StorageUnavailableError("The data key is unavailable.", code="data-key-unavailable", retry_after_s=30)
        now = self._clock.monotonic()
        if now - self._written_at > READY_CACHE_S:
            await self.store.remember("ready", bytes(READY_BYTES))
            if (gone := self._database.gone()) is not None:
                raise gone
            self._written_at = now

    async def count(self) -> Counts:
        """The backlog, and the conditions that follow from it."""
        counts = await self.store.counts()
        self._health.set("operations-failed", active=counts.failed > 0, detail=how_many(counts.failed))
        refused = counts.refused_rows
        self._health.set("catalog-rows-refused", active=refused > 0, detail=how_many(refused))
        return counts

    def observe_line(self) -> None:
        """Conditions that follow from the line's state; called whenever it may have changed."""
        self._unconfirmed.line_changed()
        self._key_swap.line_changed()
        state = self._line.connectivity
        if state is not self._said_of_line:
            self._said_of_line = state
            say = self._log.info if state is Connectivity.ONLINE else self._log.warning
            say("line to Flash", state=state.value)
        self.drill.show()
        drill = "This is an outage drill; Flash is not asked." if self.drill.is_on else ""
        self._health.set("flash-offline", active=state is Connectivity.OFFLINE, detail=drill)
        pause = f"It asked for {self._line.closed_for_s:.0f} s more."
        self._health.set("flash-throttled", active=state is Connectivity.THROTTLED, detail=pause)
        refused = state is Connectivity.UNAUTHORIZED and self._key_guard.verified
        self._health.set("flash-key-refused", active=refused)
        held = ", ".join(self._line.held_endpoints)
        self._health.set("flash-endpoint-refused", active=bool(held), detail=f"Held: {held}.")
        self._health.set("flash-not-flash", active=self._line.heard_a_stranger)
        skew = self._flash.clock_skew_s
        self._health.set(
            "clock-skewed", active=skew is not None and abs(skew) > SKEW_TOLERATED_S, detail=f"It is {skew} s off."
        )

    async def status(self) -> dict[str, Any]:
        """The fields of StatusView."""
        self.observe_line()
        counts = await self.count()
        today = self._clock.today()
        age = None if counts.oldest_pending_at is None else (to_ms(self._clock.now()) - counts.oldest_pending_at) / 1000
        return {
            "version": __version__,
            "features": list(FEATURES),
            "connectivity": self._line.connectivity.value,
            "pending": counts.pending,
            "failed": counts.failed,
            "oldestPendingAgeSeconds": None if age is None else max(0.0, round(age, 1)),
            "lastSuccessAt": rfc3339(self._line.last_success_ms),
            "lastContactAt": rfc3339(self._line.last_contact_ms),
            "clockSkewSeconds": self._flash.clock_skew_s,
            "disk": {"freeBytes": self._database.free_bytes(), "walBytes": self._database.wal_bytes()},
            "storeId": self._settings.store.store_id,
            "tillId": self._settings.store.till_id,
            "dataKey": self.keys.data_key,
            "flashKeys": dict(self._flash_keys.sources),
            "conditions": [raised.as_json() for raised in self._health],
            "redemptions": await self.store.redemptions.counts(),
            "exposure": {"businessDate": today, **figures(add_up(await self.store.exposure.day(today)))},
            "spool": self.spooled(),
        }

    async def exposure(self, business_date: str | None) -> dict[str, Any]:
        """The fields of ExposureView, of a day (today's where none is named)."""
        day = business_date or self._clock.today()
        return sheet(day, await self.store.exposure.day(day), self._settings.coupons)

    async def summary(self, business_date: str) -> dict[str, Any]:
        """The fields of SummaryView; one day at a time. Raises GoneError for a day whose tombstones may be removed."""
        from agent.service.summary import DaySummary, RedemptionSummary, local_day  # noqa: PLC0415 - asked for once a day

        try:
            begin, end = local_day(business_date)
        except ValueError as error:
            fault = Fault("businessDate", f"is out of range: {error}")
            raise InvalidError("A query parameter is wrong.", faults=[fault]) from None
        kept = self._settings.storage
        days = max(kept.tombstone_days, kept.retention_days)
        now = self._clock.now() + timedelta(seconds=self._flash.clock_skew_s or 0)
        if now - end > timedelta(days=days):
            raise GoneError(
                f"That day is past its retention: operations are kept {days} days ([storage] in the settings)."
            )
        async with self._summing:
            as_of = to_ms(self._clock.now())
            currency = self._settings.store.currency
            day = DaySummary(business_date, currency, to_ms(now - timedelta(days=kept.retention_days)))
            async for operation in self.store.days.operations(business_date, to_ms(begin), to_ms(end)):
                day.add(operation)
            redemptions = RedemptionSummary(currency)
            async for redemption in self.store.days.redemptions(day.redemptions):
                redemptions.add(redemption)
            credits_open = (await self.store.redemptions.counts())["creditsOpen"]
        return {
            **day.as_json(),
            "redemptions": redemptions.as_json(credits_open),
            "asOf": rfc3339(as_of),
            "localDay": {"from": begin.isoformat(), "to": end.isoformat()},
            "storeId": self._settings.store.store_id,
            "tillId": self._settings.store.till_id,
        }

    async def metrics(self) -> bytes:
        """Prometheus text of the same facts, and the attempts since the start."""
        from agent.service.metrics import exposition  # noqa: PLC0415 - a daemon nobody scrapes never loads it

        status = await self.status()
        return exposition(status, dict(self._relay.attempts), *self.members.counts)
