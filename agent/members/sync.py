"""Keeps the snapshots in step with Flash: follows the feed of changed members, a page at a time, resumable.

Two steps. The feed (`updatedSince`) tells who changed; of those this till remembers only the members it has met are
kept (all of them with `hold_all`), with the watermark in the same transaction. Then those who were met here are asked
for again: points, tier, coupons. A run that is interrupted goes on where it was.

Polite: one member at a time, never inside a Retry-After, never on a dead line, aside while cashiers are about. Runs
when told to, and every `sync_minutes` while there are snapshots; nothing is timed while there are none.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from agent import logs, tasks
from agent.clock import Clock, rfc3339, to_ms
from agent.config import Members as Options
from agent.delivery import Contact, Outcome
from agent.errors import Refusal
from agent.flash import readings
from agent.flash.client import FlashClient
from agent.flash.reads import Page, Reads
from agent.members.flight import Flight
from agent.members.gate import ANSWERED, Gate
from agent.members.sightings import KEPT_DAYS
from agent.members.snapshot import Key, News, Snapshot, profile_of, subjects_of
from agent.members.snapshots import Snapshots, Watermark
from agent.members.vault import Vault

BEGINNING = "1970-01-01T00:00:00Z"
OVERLAP_S = 300.0  # the first round begins a little before the oldest snapshot
TRIES = 4
LONGEST_PAUSE_S = 60.0
ASIDE_S = 0.2
ASIDE_LIMIT_S = 10.0  # a busy store's members are followed too
DUE_AT_ONCE = 50
CALLS_A_MEMBER = 4
TIDY_EVERY_S = 86_400.0  # where the feed is followed only when told to
FIRST_RUN_S = 10.0  # where the whole store is to be held, and may not be yet
_DAY_MS = 86_400_000

State = Literal["idle", "running", "waiting"]


class _StoppedError(Exception):
    """The run ends early; what it did is kept."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class Progress(msgspec.Struct):
    """How the last run went, or goes. Counts of members; `total` is what Flash says there is to follow."""

    state: State = "idle"
    pages: int = 0
    seen: int = 0
    kept: int = 0
    refreshed: int = 0
    total: int | None = None
    started_at: str | None = None
    finished_at: str | None = None
    code: str = ""
    detail: str = ""


class Sync:
    """At most one run at a time. `busy` tells whether cashiers are about."""

    def __init__(
        self,
        *,
        snapshots: Snapshots,
        vault: Vault,
        reads: Reads,
        client: FlashClient,
        gate: Gate,
        clock: Clock,
        options: Options,
        busy: Callable[[], bool],
    ) -> None:
        self._snapshots = snapshots
        self._vault = vault
        self._reads = reads
        self._client = client
        self._gate = gate
        self._clock = clock
        self._options = options
        self._busy = busy
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._log = logs.get()
        self.progress = Progress()

    def start(self) -> None:
        """Run now and then, from now on."""
        if self._options.hold_all and self._options.sync_minutes:
            self._timer = self._clock.call_later(FIRST_RUN_S, self._due)
        self.schedule()

    async def stop(self) -> None:
        """End a run; the next one goes on."""
        if self._timer is not None:
            self._timer.cancel()
        await tasks.end(self._task)

    def schedule(self) -> None:
        """See to it that the next run is timed, where there is something to follow."""
        minutes = self._options.sync_minutes
        if self._timer is None and (self._snapshots.count or (self._options.hold_all and minutes)):
            self._timer = self._clock.call_later(minutes * 60 or TIDY_EVERY_S, self._due)

    def _due(self) -> None:
        self._timer = None
        if self._options.sync_minutes and not self._gate.is_dead and not self._gate.is_closed:
            self.run()
        elif self._task is None or self._task.done():
            self._task = asyncio.create_task(self._tidy(), name="members-tidy")
        self.schedule()

    def run(self) -> Progress:
        """Begin a run, or join the one that is under way."""
        if self._task is None or self._task.done():
            self.progress = Progress("running", started_at=rfc3339(to_ms(self._clock.now())))
            self._task = asyncio.create_task(self._run(), name="members-sync")
        return self.progress

    async def _tidy(self) -> None:
        """Where nothing can be followed, what is too old or too much goes all the same."""
        try:
            await self._prune()
        except Refusal as error:
            self._log.warning("members wait for the store", code=error.code)

    async def watermark(self) -> str | None:
        """Up to which change the feed was followed, as Flash wrote it."""
        watermark = await self._snapshots.watermark()
        return None if watermark is None else watermark.newest

    async def _run(self) -> None:
        progress = self.progress
        try:
            await self._prune()
            await self._follow(progress)
            await self._refresh(progress)
            await self._prune()
        except _StoppedError as stopped:
            progress.code, progress.detail = stopped.code, stopped.detail
        except Refusal as error:
            progress.code, progress.detail = error.code, error.detail
        except Exception:  # noqa: BLE001 - the next run tries again
            self._log.exception("members cannot be followed")
            progress.code, progress.detail = "internal", "The agent failed; its log says why."
        finally:
            progress.state = "idle"
            progress.finished_at = rfc3339(to_ms(self._clock.now()))
            self.schedule()

    async def _prune(self) -> None:
        """By age only where Flash tells the time: a clock that woke up years ahead would forget everybody."""
        now_ms, known = self._client.time_ms()
        oldest = now_ms - self._options.max_age_days * _DAY_MS if known else None
        seen = now_ms - KEPT_DAYS * _DAY_MS if known else None
        await self._snapshots.prune(self._options.max_members, oldest, seen)

    # ---- the feed ----------------------------------------------------------------------------------------------------

    async def _follow(self, progress: Progress) -> None:
        mark = await self._begin()
        while mark is not None:
            began_ms = self._clock.steady_ms()
            page = await self._page(mark, progress)
            if await self._is_too_much(mark, page):
                break
            news = await self._kept(page, began_ms)
            after = _next(mark, page)
            await self._snapshots.save(news, after)
            progress.pages += 1
            progress.seen += len(page.rows)
            progress.kept += len(news)
            progress.total = progress.total or page.total
            if after.cursor is None and (after.since == mark.since or len(page.rows) < readings.CHANGES_PAGE):
                break
            mark = after

    async def _is_too_much(self, mark: Watermark, page: Page) -> bool:
        """Where more changed in the store than this till remembers, those met are asked for without the feed.

        So after a till's long holiday: its few hundred members are quicker asked for than a tenant's year is read.
        """
        now_ms, known = self._client.time_ms()
        pages_to_read = (page.total or 0) / readings.CHANGES_PAGE
        if mark.everyone or not known or pages_to_read <= CALLS_A_MEMBER * self._snapshots.count:
            return False
        spelled = _spell(datetime.fromtimestamp(now_ms / 1000, UTC) - timedelta(seconds=OVERLAP_S))
        await self._snapshots.all_due(Watermark(mark.everyone, spelled, spelled, None))
        return True

    async def _begin(self) -> Watermark | None:
        """Where the feed is taken up: where it was left, or before the oldest snapshot; None: nobody to follow."""
        mark = await self._snapshots.watermark()
        everyone = self._options.hold_all
        if mark is not None and (mark.everyone or not everyone):
            return mark._replace(everyone=everyone)
        if everyone:
            return Watermark(everyone, BEGINNING, BEGINNING, None)
        oldest = await self._snapshots.oldest_ms()
        if oldest is None:
            return None
        spelled = _spell(datetime.fromtimestamp(oldest / 1000, UTC) - timedelta(seconds=OVERLAP_S))
        return Watermark(everyone, spelled, spelled, None)

    async def _page(self, mark: Watermark, progress: Progress) -> Page:
        for attempt in range(TRIES):
            await self._let_pass(progress)
            answer = await self._reads.changed(mark.since, mark.cursor)
            self._gate.learn([answer if isinstance(answer, Outcome) else ANSWERED])
            if not isinstance(answer, Outcome):
                return answer
            if mark.cursor is not None and answer.http_status in {400, 404, 410, 422}:
                mark = mark._replace(cursor=None)  # a cursor that Flash no longer knows
            elif answer.contact in {Contact.KEY_REFUSED, Contact.ENDPOINT_REFUSED}:
                raise _StoppedError(answer.code, answer.detail)
            elif answer.contact is not Contact.THROTTLED:
                await self._pause(2.0**attempt, progress)
        raise _StoppedError("flash-unavailable", "Flash did not answer; the next run goes on from here.")

    async def _kept(self, page: Page, began_ms: int) -> list[News]:
        """Those of a page who are held: met here, or anybody where the whole store is held."""
        at_ms, known = self._client.time_ms()
        subjects = [[self._vault.hash(subject) for subject in subjects_of(profile_of(row))] for row in page.rows]
        met = await self._snapshots.known([each for own in subjects for each in own]) if page.rows else set()
        room = self._options.max_members - self._snapshots.count
        news = []
        for row, own in zip(page.rows, subjects, strict=True):
            is_met = not met.isdisjoint(own)
            if is_met or (self._options.hold_all and room > 0):
                room -= not is_met
                profile, parts = profile_of(row), readings.parts_in_row(row)
                flags = {"met": False, "looked": False, "due": is_met, "if_held": is_met}
                news.append(News(profile, parts, at_ms, began_ms, known, **flags))
        return news

    # ---- those who changed -------------------------------------------------------------------------------------------

    async def _refresh(self, progress: Progress) -> None:
        while due := await self._snapshots.due(DUE_AT_ONCE):
            for snapshot in due:
                await self._let_pass(progress)
                await self._ask_again(snapshot)
                progress.refreshed += 1

    async def _ask_again(self, snapshot: Snapshot) -> None:
        flight = Flight(self._reads, self._client, self._gate, self._clock)
        await flight.ask(Key("memberId", snapshot.member_id), snapshot)
        if flight.not_found:
            await self._snapshots.remove([snapshot.seq])
        elif (news := flight.news) is not None:
            await self._snapshots.save([replace(news, met=False, if_held=True)])
        elif self._gate.is_dead or self._gate.is_closed:
            raise _StoppedError("flash-unavailable", "Flash did not answer; the next run goes on from here.")
        else:
            await self._snapshots.clear_due(snapshot.seq)

    # ---- manners -----------------------------------------------------------------------------------------------------

    async def _let_pass(self, progress: Progress) -> None:
        """Wait while cashiers are about, and for as long as Flash asked; raises where asking cannot help."""
        aside_until = self._clock.monotonic() + ASIDE_LIMIT_S
        while self._busy() and self._clock.monotonic() < aside_until:
            await self._clock.sleep(ASIDE_S)
        while (pause_s := self._gate.closed_for_s) > 0:
            if pause_s > LONGEST_PAUSE_S:
                raise _StoppedError("flash-throttled", f"Flash asked for a pause of {pause_s:.0f} s; run again later.")
            await self._pause(pause_s, progress)
        if self._gate.is_closed:
            raise _StoppedError("flash-not-asked", "Nothing may be asked now: a drill runs, or the key is in question.")

    async def _pause(self, delay_s: float, progress: Progress) -> None:
        progress.state = "waiting"
        await self._clock.sleep(delay_s)
        progress.state = "running"


def _next(mark: Watermark, page: Page) -> Watermark:
    """Where to go on: by the cursor; without one by the newest change, which may bring its own rows once more."""
    told = [moment for row in page.rows if (moment := readings.updated_at(row)) is not None]
    newest = max([mark.newest, *told], key=_moment)
    if page.cursor is not None:
        return mark._replace(newest=newest, cursor=page.cursor)
    return mark._replace(since=newest, newest=newest, cursor=None)


def _spell(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(text: str) -> datetime:
    return readings.read_moment(text) or datetime.min.replace(tzinfo=UTC)
