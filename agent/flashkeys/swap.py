"""Flash keys change while the agent sells: a new one is checked with Flash, kept, and takes over from the next call on.

A key comes into force when Flash has shown this till's store under it (or an operator vouches for it; the first write
key of a till is trusted, see `outbox/keyguard.py`). Until then the one before goes on. It is on the disk before it is
used, so a kill at any moment leaves one of the two. Calls under way end with the key that they began with, and what is
turned away because that one was revoked meanwhile goes again with the new one (`flash/client.py`).

Files and credentials are looked at again when Flash refuses the key (401), and when asked to. Idle, nothing is timed;
while a key waits Flash is asked now and then, and at once when the line returns.

Called by the API and the line; started and stopped by the composition root; fails as the store does.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Literal, TypeVar

from pydantic import SecretStr

from agent import logs
from agent.clock import Clock, rfc3339, to_ms
from agent.delivery import Contact, Fate, Outcome
from agent.errors import ConfigError, ConflictError, Refusal
from agent.flash.client import FlashClient
from agent.flash.keycheck import Checked, Verdict
from agent.flashkeys.sources import WHICH, FlashKeys, Which, fingerprint
from agent.flashkeys.states import WHY, Previous, Slot, Waiting
from agent.health import Health
from agent.members.gate import Gate
from agent.outbox.keyguard import KeyGuard
from agent.outbox.line import Connectivity, Line
from agent.outbox.store import Store
from agent.tasks import Lookout

State = Literal["in-force", "waiting", "outranked"]
T = TypeVar("T")
_NOT_TAKEN = {
    Verdict.REFUSED: ("flash-key-refused", "Flash refuses this key. Check that it is whole and not revoked."),
    Verdict.READS_ONLY: (
        "flash-key-reads-only",
        "This key may only read; Flash lets it send no sales. Give the till a key with the write preset.",
    ),
    Verdict.NOT_SHOWN: (
        "flash-key-foreign",
        "This key's tenant has no store with this till's store id. Check the key, and [store] store_id.",
    ),
}
STOP_GRACE_S = 3.0
_HEARD = Outcome(Fate.SUCCEEDED, Contact.ANSWERED)


class KeySwap:
    """The one who changes Flash keys. `hash_of` is what is remembered of one; `swapped` is called after each change."""

    def __init__(
        self,
        store: Store,
        flash: FlashClient,
        keys: FlashKeys,
        guard: KeyGuard,
        *,
        line: Line,
        gate: Gate,
        health: Health,
        clock: Clock,
        hash_of: Callable[[SecretStr], bytes],
        store_id: str | None,
        pause_s: float,
    ) -> None:
        self._store = store
        self._flash = flash
        self._keys = keys
        self._guard = guard
        self._line = line
        self._gate = gate
        self._health = health
        self._clock = clock
        self._hash_of = hash_of
        self._store_id = store_id
        self._pause_s = pause_s
        self._slots: dict[Which, Slot] = {which: Slot() for which in WHICH}
        self._lock = asyncio.Lock()
        self._changing: set[asyncio.Task[Any]] = set()
        self._lookout = Lookout(self._look_safely, clock, name="flash-keys")
        self._refused: set[Which] = set()
        self._was = line.connectivity
        self._log = logs.get()
        self.swapped: Callable[[], None] = lambda: None
        gate.read_key_refused = lambda: self._look_again("read")

    async def start(self) -> None:
        """Begin with what a former run left waiting."""
        for which, slot in self._slots.items():
            if (key := self._flash.key(which)) is not None:
                slot.since_ms = await self._since(which, key)
            waiting = await asyncio.to_thread(self._keys.waiting, which)
            if waiting is not None and waiting != key:
                slot.waiting = Waiting(waiting, "kept", to_ms(self._clock.now()))
        self._show()
        self._lookout.start()

    async def stop(self) -> None:
        """Let a change end; what waits goes on waiting at the next start."""
        if self._changing:
            _, slow = await asyncio.wait(self._changing, timeout=STOP_GRACE_S)
            for task in slow:  # Flash does not answer; as after a kill, one of the two keys is there at the next start
                task.cancel()
            await asyncio.gather(*slow, return_exceptions=True)
        await self._lookout.stop()

    def line_changed(self) -> None:
        """The line may have become another; costs nothing where it has not."""
        was, self._was = self._was, self._line.connectivity
        if self._was is Connectivity.UNAUTHORIZED:
            self._look_again("write")
        elif self._was is Connectivity.ONLINE and was is not Connectivity.ONLINE:
            self._lookout.wake()

    def _look_again(self, which: Which) -> None:
        """Flash refused a key: perhaps the file that it came from holds another one by now."""
        self._refused.add(which)
        self._lookout.wake()

    # ---- for operators ---------------------------------------------------------------------------------------------

    async def offer(self, which: Which, key: SecretStr, *, force: bool, by: str) -> State:
        """Take a key that an operator gives; what became of it. With `force` it waits although Flash says no.

        Raises ConflictError where Flash says no, and what the store raises; then the one before stays.
        """
        return await self._whole(self._offer(which, key, force=force, by=by))

    async def reload(self, by: str) -> None:
        """Look at every source again; raises ConflictError naming a file that cannot be read, or holds no key."""
        await self._whole(self._reload(by))

    async def confirm(self, by: str) -> None:
        """An operator vouches for the write key that waits, or for the one in force; raises ConflictError."""
        await self._whole(self._confirm(by))

    async def views(self) -> list[dict[str, Any]]:
        """The fields of FlashKeyView, for each key."""
        return [await self._view(which) for which in WHICH]

    async def _whole(self, change: Coroutine[Any, Any, T]) -> T:
        """One change at a time, each to its end: whoever asked may hang up."""
        task = asyncio.create_task(self._alone(change))
        self._changing.add(task)
        task.add_done_callback(self._changing.discard)
        return await asyncio.shield(task)

    async def _alone(self, change: Coroutine[Any, Any, T]) -> T:
        async with self._lock:
            try:
                return await change
            finally:
                self._show()

    async def _offer(self, which: Which, key: SecretStr, *, force: bool, by: str) -> State:
        self._log.info("a Flash key was given", kind=which, by=by)
        source = self._keys.sources[which]
        if key == self._flash.key(which):
            await asyncio.to_thread(self._keys.keep, which, key)
            self._slots[which].waiting = None
            return "in-force" if which == "read" or self._guard.verified else "waiting"
        checked = await self._check(key, which)
        if checked.verdict in _NOT_TAKEN and not force:
            code, detail = _NOT_TAKEN[checked.verdict]
            raise ConflictError(f"{detail} It was not kept; what was in force stays.", code=code)
        if source not in {None, "kept"}:
            await asyncio.to_thread(self._keys.keep, which, key)
            return "outranked"
        return await self._place(Waiting(key, "kept", to_ms(self._clock.now()), checked.verdict), which)

    async def _reload(self, by: str) -> None:
        self._log.info("Flash keys are looked for again", by=by)
        for which in WHICH:
            try:
                await self._reread(which)
            except ConfigError as error:
                raise ConflictError(f"{error} The key in force stays.", code="flash-key-unreadable") from None

    async def _confirm(self, by: str) -> None:
        self._log.info("a Flash key was confirmed", by=by)
        waiting = self._slots["write"].waiting
        if waiting is None:
            await self._guard.confirm()
            if self._guard.verified:
                self._line.release_key()
                self.swapped()
        elif waiting.verdict is Verdict.REFUSED:
            raise ConflictError(
                "Flash refuses the key that waits, whosever it is. Give another: flash-agent keys rotate write.",
                code="flash-key-refused",
            )
        else:
            await self._come_into_force("write", waiting, verified=True)

    # ---- checking and changing -------------------------------------------------------------------------------------

    async def _check(self, key: SecretStr, which: Which) -> Checked:
        if (pause_s := self._line.closed_for_s) > 0:  # nobody asks anything before a Retry-After is over
            return Checked(Verdict.UNREACHABLE, pause_s)
        return await self._flash.check(key, self._store_id, writes=which == "write")

    async def _place(self, new: Waiting, which: Which) -> State:
        """Put a key where it belongs by what Flash says of it: in force, or among those that wait."""
        is_good = new.verdict is Verdict.SHOWN or (which == "read" and new.verdict is Verdict.UNREADABLE)
        is_good = is_good or (which == "write" and await self._guard.is_first())
        if is_good or (which == "write" and self._flash.key(which) is None):
            await self._come_into_force(which, new, verified=is_good)
            return "in-force" if is_good else "waiting"
        if new.source == "kept":
            await asyncio.to_thread(self._keys.keep_waiting, which, new.key)
        self._slots[which].waiting = new
        self._lookout.wake()
        return "waiting"

    async def _come_into_force(self, which: Which, new: Waiting, *, verified: bool) -> None:
        """On the disk first, then for all new calls. Not verified: in the place of none, held until Flash shows it."""
        if new.source == "kept":
            await asyncio.to_thread(self._keys.keep, which, new.key)
        if which == "write":
            await self._guard.adopt(self._hash_of(new.key), verified=verified)
        old = self._flash.key(which)
        self._flash.change_key(which, new.key)
        self._keys.sources[which] = new.source
        now = to_ms(self._clock.now())
        previous = None if old is None or old == new.key else Previous(old, now)
        self._slots[which] = Slot(now, new.verdict is Verdict.SHOWN, None, previous)
        if which == "write":
            self._tell_line(new, verified=verified)
        self._gate.key_changed()
        self._log.info("a Flash key came into force", kind=which, state=new.verdict.value)
        self.swapped()
        with contextlib.suppress(Refusal):  # only for the list
            await self._remember_since(which, new.key, now)

    def _tell_line(self, new: Waiting, *, verified: bool) -> None:
        if not verified:
            self._line.hold_key(probe_now=True)
            return
        if new.verdict is Verdict.SHOWN:
            self._line.forget_refusals()
            self._line.report("", _HEARD)
        else:
            self._line.release_key()

    async def _reread(self, which: Which) -> None:
        """Take the key that lies at the source now, where it is another one; raises ConfigError."""
        found = await asyncio.to_thread(self._keys.find, which)
        waiting = self._slots[which].waiting
        if found.key is None or found.source is None or found.key == self._flash.key(which):
            return
        if waiting is not None and waiting.key == found.key:
            return
        checked = await self._check(found.key, which)
        await self._place(Waiting(found.key, found.source, to_ms(self._clock.now()), checked.verdict), which)

    # ---- while something waits -------------------------------------------------------------------------------------

    async def _look_safely(self) -> float | None:
        delay_s: float | None = self._pause_s
        try:
            delay_s = await self._alone(self._look())
        except Refusal as error:
            self._log.warning("a Flash key waits for the store", code=error.code)
        except Exception:  # noqa: BLE001 - the task never stops
            self._log.exception("a Flash key cannot be looked at")
        return None if delay_s is None else max(0.05, delay_s)

    async def _look(self) -> float | None:
        """Look at sources whose key was refused, and ask Flash of those that wait; when to look again (None: woken)."""
        while self._refused:
            which = self._refused.pop()
            try:
                await self._reread(which)
            except ConfigError:
                self._log.warning("the file of a Flash key cannot be read, or holds no key", kind=which)
        delays = [await self._try_again(which, slot.waiting) for which, slot in self._slots.items() if slot.waiting]
        return min((delay for delay in delays if delay is not None), default=None)

    async def _try_again(self, which: Which, waiting: Waiting) -> float | None:
        checked = await self._check(waiting.key, which)
        if checked.verdict is not waiting.verdict:
            waiting = replace(waiting, verdict=checked.verdict)
            self._slots[which].waiting = waiting
        if checked.verdict is Verdict.SHOWN or (which == "read" and checked.verdict is Verdict.UNREADABLE):
            await self._come_into_force(which, waiting, verified=True)
            return None
        return max(checked.retry_after_s or 0.0, self._pause_s)

    # ---- showing ---------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        waiting = {which: slot.waiting for which, slot in self._slots.items() if slot.waiting is not None}
        detail = " ".join(f"The {which} key waits: {WHY[each.verdict]}." for which, each in waiting.items())
        self._health.set("flash-key-waiting", active=bool(waiting), detail=detail)

    async def _view(self, which: Which) -> dict[str, Any]:
        slot, key, source = self._slots[which], self._flash.key(which), self._keys.sources[which]
        outranked = None if source in {None, "kept"} else await asyncio.to_thread(self._keys.kept, which)
        refused = self._line.held_endpoints if which == "write" else self._gate.refused_calls
        verified = self._guard.verified if which == "write" else slot.shown
        previous = slot.previous
        calls = 0 if previous is None else self._flash.calls_with(previous.key)
        in_use = previous is not None and previous.key in {self._flash.key(each) for each in WHICH}
        return {
            "which": which,
            "source": source,
            "fingerprint": key and fingerprint(key),
            "since": rfc3339(slot.since_ms),
            "verified": None if key is None else verified,
            "refusedCalls": [] if key is None else refused,
            "waiting": slot.waiting and slot.waiting.as_json(),
            "previous": previous and {**previous.as_json(), "callsUnderWay": calls, "inUse": in_use},
            "outranked": outranked and fingerprint(outranked),
        }

    async def _since(self, which: Which, key: SecretStr) -> int:
        """Since when this till has had a key in force, as far as it remembers."""
        known = await self._store.fact(f"key-since:{which}")
        key_hash = self._hash_of(key)
        if known is not None and known.startswith(key_hash):
            return int.from_bytes(known[len(key_hash) :], "big")
        now = to_ms(self._clock.now())
        with contextlib.suppress(Refusal):
            await self._remember_since(which, key, now)
        return now

    async def _remember_since(self, which: Which, key: SecretStr, now_ms: int) -> None:
        key_hash = self._hash_of(key)
        await self._store.remember(f"key-since:{which}", key_hash + now_ms.to_bytes(8, "big"))
