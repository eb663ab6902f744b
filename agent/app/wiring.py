"""Builds the parts of an agent, each of those that it needs, from the bottom up. Starts none of them but the key guard.

Called by the composition root once the data directory is open; a change to what a part is given is made here.
"""

import random

from pydantic import SecretStr

from agent.api import shown
from agent.app.opening import Opened, Opening
from agent.clock import Clock
from agent.config import Settings, wordings_of
from agent.datakeys.rotation import Rotation
from agent.events import Events
from agent.flash.address import FlashAddress
from agent.flash.client import FlashClient
from agent.flashkeys import FlashKeys
from agent.flashkeys.swap import KeySwap
from agent.health import Health
from agent.intake import Intake
from agent.members.gate import Gate
from agent.members.members import Members
from agent.members.resealing import seals_of
from agent.outbox.keyguard import KeyGuard
from agent.outbox.line import Line
from agent.outbox.relay import Relay, RelayOptions
from agent.outbox.resealing import OperationSeals
from agent.outbox.store import Store
from agent.receipt.wording import Wordings
from agent.redemption.redeeming import Redeeming
from agent.redemption.unconfirmed import Unconfirmed
from agent.service.drill import Drill
from agent.service.parts import Parts


def flash_client(settings: Settings, clock: Clock, keys: FlashKeys) -> FlashClient:
    """The one client, with the keys that were found at the start."""
    flash, store = settings.flash, settings.store
    address = FlashAddress(
        base_url=flash.base_url,
        till=store.till_id,
        attempt_timeout_s=flash.attempt_timeout_s,
        proxy=flash.proxy.get_secret_value() if flash.proxy else None,
        ca_file=str(flash.ca_file) if flash.ca_file else None,
        connections=settings.relay.max_in_flight,
    )
    return FlashClient(address, clock, write_key=keys.get("write"), read_key=keys.get("read"))


class Wiring:
    """Builds one agent's, around its outbox and its client."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        health: Health,
        *,
        opening: Opening,
        opened: Opened,
        store: Store,
        flash: FlashClient,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._health = health
        self._opening = opening
        self._opened = opened
        self._store = store
        self._flash = flash

    async def parts(self) -> Parts:
        """All of them; raises ConfigError, and what the store raises."""
        store, flash, keys = self._store, self._flash, self._opening.flash_keys
        line = self._line()
        drill = Drill(self._clock, line, self._health)
        flash.is_cut_off = lambda: drill.is_on
        guard = await self._key_guard(line)
        relay = Relay(store, flash, line, self._clock, self._relay_options(), probe=guard.probe)
        wordings = wordings_of(self._settings)
        gate = self._gate(line, drill, guard, relay)
        members = self._members(gate, relay)
        redeeming, unconfirmed = self._counter(relay, line, members, gate)
        return Parts(
            database=self._opened.database,
            store=store,
            rotation=self._rotation(relay),
            flash=flash,
            flash_keys=keys,
            key_guard=guard,
            key_swap=self._key_swap(guard, line, gate),
            line=line,
            drill=drill,
            relay=relay,
            intake=Intake(store, self._opened.sealer, self._settings, members.sightings),
            members=members,
            redeeming=redeeming,
            unconfirmed=unconfirmed,
            wordings=wordings,
            tokens=self._opened.tokens,
            events=self._events(line, wordings),
        )

    # ---- the way to Flash ------------------------------------------------------------------------------------------

    def _line(self) -> Line:
        relay = self._settings.relay
        return Line(
            self._clock,
            max_in_flight=relay.max_in_flight,
            start_delay_s=random.uniform(0, relay.start_jitter_s),  # noqa: S311 - jitter
            hold_probe_s=relay.hold_probe_s,
        )

    async def _key_guard(self, line: Line) -> KeyGuard:
        """Nothing is sent with a new key before Flash has shown this till's store under it."""
        locked = self._opened.is_locked
        key = None if locked else self._opening.flash_keys.get("write")
        key_hash = self._key_hash(key) if key else None
        store_id = self._settings.store.store_id
        guard = KeyGuard(self._store, self._flash, self._health, key_hash=key_hash, store_id=store_id)
        if not locked:
            await guard.start()
        if not guard.verified:
            line.hold_key(probe_now=True)
        return guard

    def _key_hash(self, key: SecretStr) -> bytes:
        """What is remembered of a Flash key."""
        return self._opened.sealer.hash(f"key:{key.get_secret_value()}")

    def _relay_options(self) -> RelayOptions:
        relay = self._settings.relay
        return RelayOptions(relay.max_in_flight, relay.batch_size, relay.order_wait_h)

    def _key_swap(self, guard: KeyGuard, line: Line, gate: Gate) -> KeySwap:
        return KeySwap(
            self._store,
            self._flash,
            self._opening.flash_keys,
            guard,
            line=line,
            gate=gate,
            health=self._health,
            clock=self._clock,
            hash_of=self._key_hash,
            store_id=self._settings.store.store_id,
            pause_s=self._settings.relay.hold_probe_s,
        )

    # ---- the counter -----------------------------------------------------------------------------------------------

    def _gate(self, line: Line, drill: Drill, guard: KeyGuard, relay: Relay) -> Gate:
        flash = self._flash
        return Gate(
            line,
            self._clock,
            shares_key=lambda: flash.reads_with_write_key,
            is_cut_off=lambda: drill.is_on,
            is_verified=lambda: guard.verified,
            found_way=relay.wake,
            asked_to_wait=relay.remember_pause,
        )

    def _members(self, gate: Gate, relay: Relay) -> Members:
        return Members(
            self._settings,
            self._opened.database,
            self._opened.sealer,
            self._store,
            self._flash,
            gate=gate,
            clock=self._clock,
            busy=lambda: relay.cashiers_are_about,
            forget_copies=self._opening.forget_copies,
        )

    def _counter(self, relay: Relay, line: Line, members: Members, gate: Gate) -> tuple[Redeeming, Unconfirmed]:
        """Redemptions: those that registers wait for, and what their waits' ends left open."""
        redeeming = Redeeming(
            self._store.redemptions,
            relay=relay,
            line=line,
            flash=self._flash,
            clock=self._clock,
            settings=self._settings,
            sightings=members.sightings,
        )
        unconfirmed = Unconfirmed(
            redeeming,
            flash=self._flash,
            line=line,
            clock=self._clock,
            health=self._health,
            sightings=members.sightings,
            gate=gate,
            key_age_h=self._settings.coupons.key_age_h,
        )
        redeeming.left_open = unconfirmed.wake
        return redeeming, unconfirmed

    # ---- beside the sale -------------------------------------------------------------------------------------------

    def _events(self, line: Line, wordings: Wordings) -> Events:
        default = wordings.default
        show = lambda operation: shown.operation_event(operation, default)  # noqa: E731
        return Events(self._store, line, self._health, self._clock, show)

    def _rotation(self, relay: Relay) -> Rotation:
        database, sealer = self._opened.database, self._opened.sealer
        return Rotation(
            self._opened.keys,
            sealer,
            database,
            [OperationSeals(database, sealer), *seals_of(database, sealer)],
            self._clock,
            save=self._opening.key_file.save,
            needed_elsewhere=self._opening.needs_older_keys,
            busy=lambda: relay.cashiers_are_about,
        )
