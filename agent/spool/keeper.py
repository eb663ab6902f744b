"""One spool folder's task: takes each file when it is complete, once, and puts it away.

A file is complete when its size and time of change have stayed the same for `settle_s`, as seen from here, and it can
be opened. It is put away after all in it is on the disk; killed in between, it is taken again, and everything in it is
found to be there already. Nothing fails because of the till: without storage the files wait, and so they do while the
folder cannot be used. One that cannot be read to its end is given `patience_s` since its last change.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from agent import logs, tasks
from agent.clock import Clock, rfc3339, to_ms
from agent.config import Spool as Options
from agent.errors import Refusal
from agent.spool.places import Entry, Look, Places, Stamp, UnusableError
from agent.spool.report import Report
from agent.spool.taking import Taking
from agent.spool.watching import Watch

SHORTEST_PAUSE_S, FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0, 60.0
PRUNE_EVERY_S = 6 * 3600.0


@dataclass(slots=True)
class State:
    """What can be told of a folder. `problem`: why its files wait, or some of them; empty where they need not."""

    adapter: str
    folder: Path
    waiting: int = 0
    done_today: int = 0
    failed: int = 0
    last_taken_at: str | None = None
    problem: str = ""


@dataclass(slots=True)
class _Pause:
    """Growing pauses between tries that failed for a reason that may pass."""

    until: float = 0.0
    length_s: float = 0.0

    def lengthen(self, now: float) -> None:
        self.length_s = min(LONGEST_PAUSE_S, self.length_s * 2 or FIRST_PAUSE_S)
        self.until = now + self.length_s


@dataclass(slots=True)
class _Waiting:
    """A file that waits: since when it has been as it is, and how trying it went."""

    stamp: Stamp
    since: float
    pause: _Pause = field(default_factory=_Pause)
    trouble: str = ""
    report: Report | None = None  # it was taken, and could not be put away

    def due(self, settle_s: float) -> float:
        return max(self.since + settle_s, self.pause.until)


class Keeper:
    """Keeps one folder. `changed` is called when its state is another; `clock_is_right` before anything is pruned."""

    def __init__(
        self,
        state: State,
        places: Places,
        taking: Taking,
        options: Options,
        clock: Clock,
        *,
        changed: Callable[[], None],
        clock_is_right: Callable[[], bool],
    ) -> None:
        self.state = state
        self._places = places
        self._taking = taking
        self._options = options
        self._clock = clock
        self._changed = changed
        self._clock_is_right = clock_is_right
        self._nudge = asyncio.Event()
        self._watch = Watch(options.settle_s, self._nudge.set)
        self._waiting: dict[str, _Waiting] = {}
        self._blind = _Pause()  # while the folder cannot be used
        self._full = _Pause()  # while nothing can be stored
        self._deleted = ("", 0)  # where done files are not kept: the day, and how many
        self._pruned_at = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self._log = logs.get()

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="spool")

    def end(self) -> None:
        """Tell it to stop, so that many can stop at once."""
        self._watch.end()
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """Stop; a file that was being taken stays and is taken again."""
        self.end()
        await tasks.end(self._task)
        await self._watch.stop()

    async def _run(self) -> None:
        await asyncio.to_thread(self._places.tidy)
        while True:
            self._nudge.clear()
            try:
                pause_s = await self._round()
            except Exception:  # noqa: BLE001 - the next round tries again
                self._log.exception("a spool folder's round failed", kind=self.state.adapter)
                pause_s = FIRST_PAUSE_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._nudge.wait()

    async def _round(self) -> float:
        """Look, and take what is complete; after how many seconds to look again at the latest."""
        look = await self._look()
        tried = False
        for entry in look.files if look is not None else ():
            now, waiting = self._clock.monotonic(), self._waiting[entry.name]
            if self._full.until > now:
                break
            if waiting.due(self._options.settle_s) <= now:
                await self._try(entry, waiting)
                tried = True
        if tried:
            look = await self._look()
        if look is None:
            return max(SHORTEST_PAUSE_S, self._blind.until - self._clock.monotonic())
        await self._prune()
        return self._next_in_s()

    # ---- looking -----------------------------------------------------------------------------------------------------

    async def _look(self) -> Look | None:
        """What is there now; None where the folder cannot be used."""
        try:
            look = await asyncio.to_thread(self._places.look, self._clock.today())
        except UnusableError as error:
            self._blind.lengthen(self._clock.monotonic())
            self._tell(str(error))
            return None
        self._blind = _Pause()
        now = self._clock.monotonic()
        before, self._waiting = self._waiting, {}
        for name, stamp in look.files:
            known = before.get(name)
            self._waiting[name] = known if known is not None and known.stamp == stamp else _Waiting(stamp, now)
        if self._watch.see([self._places.folder, self._places.failed], look.identity):
            self._clock.call_later(FIRST_PAUSE_S, self._nudge.set)  # what came before the watch began is not told
        day, deleted = self._deleted
        state = self.state
        state.waiting, state.failed = len(look.files), look.failed
        state.done_today = look.done_today + (deleted if day == self._clock.today() else 0)
        troubles = [waiting.trouble for waiting in self._waiting.values() if waiting.trouble]
        self._tell(f"holds files that {troubles[0]} ({len(troubles)} in all)" if troubles else "")
        return look

    def _tell(self, problem: str) -> None:
        if problem and not self.state.problem:
            self._log.warning("a spool folder needs help", kind=self.state.adapter, path=str(self._places.folder))
        self.state.problem = problem
        self._changed()

    def _next_in_s(self) -> float:
        """Until the first file is due, or until the slow look that needs no event."""
        now, settle_s = self._clock.monotonic(), self._options.settle_s
        due = min((waiting.due(settle_s) for waiting in self._waiting.values()), default=float("inf"))
        return max(SHORTEST_PAUSE_S, min(max(due, self._full.until) - now, self._options.poll_s))

    # ---- taking ------------------------------------------------------------------------------------------------------

    async def _try(self, entry: Entry, waiting: _Waiting) -> None:
        """Take a file and put it away; one that was taken before and could not be put away is not read again."""
        report, now = waiting.report, self._clock.monotonic
        try:
            report = report or await self._taking.take(entry)
        except Refusal as refusal:  # the till cannot store: everything waits, and nothing fails
            self._full.lengthen(now())
            waiting.trouble = "" if refusal.retryable else f"cannot be taken: {refusal.detail}"
            self._log.warning("spooled files wait", kind=self.state.adapter, code=refusal.code)
            return
        except FileNotFoundError:  # gone, or a share lists what is not there any more
            waiting.pause.lengthen(now())
            return
        except OSError as error:
            waiting.pause.lengthen(now())
            if now() >= waiting.since + self._options.patience_s:  # before, it may be in its writer's hands (Windows)
                waiting.trouble = f"cannot be read: {error.strerror}"
            return
        except Exception:  # noqa: BLE001 - the others go on
            self._log.exception("a spooled file could not be taken", kind=self.state.adapter)
            waiting.pause.lengthen(now())
            waiting.trouble = "cannot be taken: the agent failed, its log says where"
            return
        self._full, waiting.trouble = _Pause(), ""
        if report is None:  # it is another one than was listed: the next look tells
            waiting.pause.lengthen(now())
            return
        if report.ends_too_early and now() < waiting.since + self._options.patience_s:
            waiting.pause.until = waiting.since + self._options.patience_s  # more of it may still come
            return
        waiting.report = report
        await self._put_away(entry, waiting, report)

    async def _put_away(self, entry: Entry, waiting: _Waiting, report: Report) -> None:
        at = rfc3339(to_ms(self._clock.now()))
        try:
            put_away = await asyncio.to_thread(self._move, entry, report, at)
        except (OSError, UnusableError) as error:
            waiting.pause.lengthen(self._clock.monotonic())
            words = error.strerror if isinstance(error, OSError) else str(error)
            waiting.trouble = f"were taken and cannot be moved: {words}"
            return
        waiting.pause.lengthen(self._clock.monotonic())  # if it is still there, it is another one
        if put_away:
            state = self.state
            state.last_taken_at = at
            state.waiting -= 1
            state.failed, state.done_today = state.failed + report.failed, state.done_today + (not report.failed)
            self._changed()
            status = "failed" if report.failed else "done"
            self._log.info("a spooled file was taken", kind=state.adapter, status=status)

    def _move(self, entry: Entry, report: Report, at: str | None) -> bool:
        """In a thread: move the file, or delete it where none is kept; whether it was still the one that was read."""
        places = self._places
        if report.failed:
            return places.put_away(entry, places.failed, report.as_bytes(at)) is not None
        keeps, today = self._options.keep_done_days > 0, self._clock.today()
        target = places.put_away(entry, places.done / today, report.as_bytes(at) if keeps else None)
        if target is not None and not keeps:
            target.unlink()
            day, deleted = self._deleted
            self._deleted = (today, deleted + 1 if day == today else 1)
        return target is not None

    async def _prune(self) -> None:
        """A clock that woke up years ahead would delete what was done this morning: so only where it is right."""
        now = self._clock.monotonic()
        if now - self._pruned_at < PRUNE_EVERY_S or not self._clock_is_right():
            return
        self._pruned_at = now
        try:
            await asyncio.to_thread(self._places.prune, self._clock.today(), self._options.keep_done_days)
        except OSError as error:
            self._log.warning("a spool folder cannot be pruned", kind=self.state.adapter, error=error.strerror)
