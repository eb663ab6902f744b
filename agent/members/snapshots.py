"""The snapshots' tables: found by keyed hash, written in bulk, forgotten without a trace.

Called by the look-up, the feed and the follower of settled operations. A snapshot is a cache: what does not open is as
good as not there. Fails with the storage's errors.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from agent.clock import Clock
from agent.members.sightings import SightingTable
from agent.members.snapshot import PARTS, News, Snapshot, subjects_of
from agent.members.vault import Vault
from agent.storage import Database, Row, Transaction
from agent.storage.statements import placeholders, values_rows

_COLUMNS = "seq, id, clock_known, looked_at, profile, profile_at, points, points_at, tier, tier_at, coupons, coupons_at"
_READ = ", ".join(f"member.{column}" for column in _COLUMNS.split(", "))
_FIND = f"SELECT {_READ} FROM member_key CROSS JOIN member ON member.seq = member_key.seq WHERE hash = ?"  # noqa: S608
# What is not told stays.
_SAVE = f"""
INSERT INTO member ({_COLUMNS}, met_at, due) VALUES {{rows}}
ON CONFLICT (seq) DO UPDATE SET
  clock_known = excluded.clock_known, looked_at = COALESCE(excluded.looked_at, looked_at),
  profile = excluded.profile, profile_at = excluded.profile_at,
  points = COALESCE(excluded.points, points), points_at = COALESCE(excluded.points_at, points_at),
  tier = COALESCE(excluded.tier, tier), tier_at = COALESCE(excluded.tier_at, tier_at),
  coupons = COALESCE(excluded.coupons, coupons), coupons_at = COALESCE(excluded.coupons_at, coupons_at),
  met_at = COALESCE(excluded.met_at, met_at), due = excluded.due
"""  # noqa: S608
_OVER = "SELECT seq FROM member ORDER BY met_at LIMIT ?"  # those that were never met come first
_OLD = "SELECT seq FROM member WHERE met_at < ? ORDER BY met_at LIMIT ?"
_DUE = f"SELECT {_READ} FROM member WHERE due = 1 AND met_at IS NOT NULL ORDER BY met_at DESC LIMIT ?"  # noqa: S608
_OUTDATE = """
UPDATE member SET looked_at = NULL
WHERE seq IN (
  SELECT member_key.seq FROM sighting CROSS JOIN member_key ON member_key.hash = sighting.member
  WHERE sighting.coupon = ?
)
"""
_PRUNED_AT_ONCE = 200
MAX_SETTLED = 1024  # more than are settled while a read is under way


class Watermark(NamedTuple):
    """How far the feed was followed: `since` and `newest` as Flash wrote them."""

    everyone: bool
    since: str
    newest: str
    cursor: str | None


class _Known(NamedTuple):
    """What was there of those who are in the news."""

    owners: Mapping[bytes, int]  # whom a subject leads to
    rows: Mapping[int, Snapshot]


class Snapshots:
    """`count` is how many there are."""

    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._settled: dict[int, int] = {}  # when the outbox brought a balance, by the steady clock
        self._sightings = SightingTable(vault)
        self.count = 0

    async def start(self) -> None:
        """Count them, once."""
        ((self.count,),) = await self._database.fetch("SELECT count(*) FROM member")

    async def find(self, subject: bytes) -> Snapshot | None:
        """The member whom the hash of a subject leads to."""
        for row in await self._database.fetch(_FIND, [subject]):
            return self._snapshot(row)
        return None

    async def known(self, subjects: Sequence[bytes]) -> set[bytes]:
        """Those of the hashes that lead to somebody."""
        sql = f"SELECT hash FROM member_key WHERE hash IN ({placeholders(len(subjects))})"  # noqa: S608
        return {found for (found,) in await self._database.fetch(sql, subjects)}

    async def save(self, news: Sequence[News], watermark: Watermark | None = None) -> None:
        """Write news, and how far the feed was followed to get them, in one transaction."""
        latest = {each.member_id: each for each in news}  # of a member who is named twice the later word counts
        added = 0
        async with self._database.transaction() as transaction:
            if latest:
                added = await self._save(transaction, list(latest.values()))
            if watermark is not None:
                await self._mark(transaction, watermark)
        self.count += added

    async def _save(self, transaction: Transaction, news: Sequence[News]) -> int:
        subjects = {each.member_id: self._hashes(each.profile) for each in news}
        known = await self._known(transaction, [digest for own in subjects.values() for digest in own])
        news = [
            each for each in news if not each.if_held or not known.owners.keys().isdisjoint(subjects[each.member_id])
        ]
        if not news:
            return 0
        ((last,),) = await transaction.fetch("SELECT COALESCE(max(seq), 0) FROM member")
        rows: list[list[Any]] = []
        keys: dict[bytes, int] = {}
        own_seqs: list[int] = []
        for each in news:
            before = known.rows.get(known.owners.get(subjects[each.member_id][0], 0))
            if before is None:
                last += 1
            seq = before.seq if before else last
            own_seqs.append(seq)
            profile = {**before.profile, **each.profile} if before and not each.whole else each.profile
            rows.append(self._row(seq, each, profile, before))
            keys |= dict.fromkeys(self._hashes(profile), seq)
        placed, parameters = values_rows(rows)
        await transaction.fetch(_SAVE.format(rows=placed), parameters)
        await self._give_up_keys(transaction, known, keys, set(own_seqs))
        placed, parameters = values_rows(list(keys.items()))
        await transaction.fetch(f"INSERT OR REPLACE INTO member_key (hash, seq) VALUES {placed}", parameters)  # noqa: S608
        for each in news:
            if "coupons" in each.parts:
                await self._sightings.record(transaction, each, subjects[each.member_id])
        return sum(1 for seq in own_seqs if seq not in known.rows)

    async def _known(self, transaction: Transaction, subjects: Sequence[bytes]) -> _Known:
        wanted = placeholders(len(subjects))
        owners: dict[bytes, int] = dict(
            await transaction.fetch(f"SELECT hash, seq FROM member_key WHERE hash IN ({wanted})", subjects)  # noqa: S608
        )
        seqs = sorted(set(owners.values()))
        sql = f"SELECT {_COLUMNS} FROM member WHERE seq IN ({placeholders(len(seqs))})"  # noqa: S608
        found = [self._snapshot(row) for row in await transaction.fetch(sql, seqs)] if seqs else []
        rows = {snapshot.seq: snapshot for snapshot in found if snapshot is not None}
        return _Known({digest: seq for digest, seq in owners.items() if seq in rows}, rows)

    async def _give_up_keys(
        self, transaction: Transaction, known: _Known, keys: Mapping[bytes, int], own: set[int]
    ) -> None:
        """A subject leads to one member: who bore it before no longer does, and what a member bore before is let go."""
        placed = placeholders(len(own))
        await transaction.fetch(f"DELETE FROM member_key WHERE seq IN ({placed})", sorted(own))  # noqa: S608
        robbed = {known.owners[digest] for digest, seq in keys.items() if known.owners.get(digest, seq) != seq} - own
        for other in (known.rows[seq] for seq in robbed):
            kept = {
                name: value
                for name, value in other.profile.items()
                if name in {"id", "fullName"} or not set(self._hashes({name: value})) & keys.keys()
            }
            sealed = self._vault.seal(kept, other.row_id, "profile")
            await transaction.fetch("UPDATE member SET profile = ? WHERE seq = ?", [sealed, other.seq])

    def _row(self, seq: int, news: News, profile: Mapping[str, Any], before: Snapshot | None) -> list[Any]:
        row_id = before.row_id if before else secrets.token_hex(8)
        looked_at = news.at_ms if news.looked else None
        sealed = self._vault.seal(profile, row_id, "profile")
        row: list[Any] = [seq, row_id, int(news.clock_known), looked_at, sealed, news.at_ms]
        for part in PARTS:
            told = part in news.parts
            if told and part == "points" and news.began_ms <= self._settled.get(seq, 0):
                told = False  # a sale that settled while we asked brought a newer balance
            row += [self._vault.seal(news.parts[part], row_id, part), news.at_ms] if told else [None, None]
        return [*row, news.at_ms if news.met else None, int(news.due)]

    def _hashes(self, profile: Mapping[str, Any]) -> list[bytes]:
        return [self._vault.hash(subject) for subject in subjects_of(profile)]

    def _snapshot(self, row: Row) -> Snapshot | None:
        seq, row_id, clock_known, looked_at, profile, profile_at, *parts = row
        opened = self._vault.open(profile, row_id, "profile")
        if not opened:
            return None
        values, times = {}, {"profile": profile_at}
        for part, sealed, at in zip(PARTS, parts[::2], parts[1::2], strict=True):
            value = self._vault.open(sealed, row_id, part)
            if value is not None:
                values[part], times[part] = value, at
        return Snapshot(seq, row_id, opened, values, times, looked_at, bool(clock_known))

    # ---- balances that settled operations bring ----------------------------------------------------------------------

    async def refresh_balances(self, balances: Mapping[bytes, int], at_ms: int) -> None:
        """New balances by subject, for those whom this till remembers."""
        async with self._database.transaction() as transaction:
            known = await self._known(transaction, list(balances))
            for seq in known.rows:
                self._settled.pop(seq, None)
                self._settled[seq] = self._clock.steady_ms()
            for digest, seq in known.owners.items():
                snapshot = known.rows[seq]
                points = {**snapshot.parts.get("points", {}), "balance": balances[digest]}
                sealed = self._vault.seal(points, snapshot.row_id, "points")
                changed = [sealed, at_ms, seq]
                await transaction.fetch("UPDATE member SET points = ?, points_at = ? WHERE seq = ?", changed)
        while len(self._settled) > MAX_SETTLED:
            del self._settled[next(iter(self._settled))]

    async def outdate(self, coupon: bytes) -> None:
        """A coupon (by its hash) was used: whoever it was seen with is asked for again at the next look-up."""
        await self._database.fetch(_OUTDATE, [coupon])

    # ---- the feed ----------------------------------------------------------------------------------------------------

    async def watermark(self) -> Watermark | None:
        """How far the feed was followed; None before the first time."""
        for everyone, since, newest, cursor in await self._database.fetch(
            "SELECT everyone, since, newest, cursor FROM feed"
        ):
            return Watermark(bool(everyone), since, newest, self._vault.open(cursor, "feed", "cursor"))
        return None

    async def _mark(self, transaction: Transaction, watermark: Watermark) -> None:
        cursor = None if watermark.cursor is None else self._vault.seal(watermark.cursor, "feed", "cursor")
        await transaction.fetch(
            "INSERT OR REPLACE INTO feed (only, everyone, since, newest, cursor) VALUES (1, ?, ?, ?, ?)",
            [int(watermark.everyone), watermark.since, watermark.newest, cursor],
        )

    async def oldest_ms(self) -> int | None:
        """When the oldest profile was told."""
        ((oldest,),) = await self._database.fetch("SELECT min(profile_at) FROM member")
        return None if oldest is None else int(oldest)

    async def due(self, limit: int) -> list[Snapshot]:
        """Members met here who changed at Flash since they were asked for, the last met first."""
        rows = await self._database.fetch(_DUE, [limit])
        return [snapshot for row in rows if (snapshot := self._snapshot(row)) is not None]

    async def all_due(self, watermark: Watermark) -> None:
        """Everybody who was met is to be asked for again, and the feed is as good as followed up to there."""
        async with self._database.transaction() as transaction:
            await transaction.fetch("UPDATE member SET due = 1 WHERE met_at IS NOT NULL")
            await self._mark(transaction, watermark)

    async def count_due(self) -> int:
        """How many of them there are."""
        ((count,),) = await self._database.fetch("SELECT count(*) FROM member WHERE due = 1 AND met_at IS NOT NULL")
        return int(count)

    async def clear_due(self, seq: int) -> None:
        """This one cannot be asked for; the next look-up will."""
        await self._database.fetch("UPDATE member SET due = 0 WHERE seq = ?", [seq])

    # ---- forgetting --------------------------------------------------------------------------------------------------

    async def remove(self, seqs: Iterable[int]) -> None:
        """Let go of these snapshots; their sightings stay."""
        chosen = sorted(set(seqs))
        placed = placeholders(len(chosen))
        async with self._database.transaction() as transaction:
            await transaction.fetch(f"DELETE FROM member_key WHERE seq IN ({placed})", chosen)  # noqa: S608
            gone = await transaction.fetch(f"DELETE FROM member WHERE seq IN ({placed}) RETURNING seq", chosen)  # noqa: S608
        self.count -= len(gone)

    async def forget(self, subjects: Sequence[bytes]) -> int:
        """Erase the members whom the hashes lead to, with all that was seen of them; returns how many."""
        async with self._database.transaction() as transaction:
            known = await self._known(transaction, subjects)
            seqs = sorted(known.rows)
            placed = placeholders(len(seqs))
            await transaction.fetch(f"DELETE FROM member_key WHERE seq IN ({placed})", seqs)  # noqa: S608
            await transaction.fetch(f"DELETE FROM member WHERE seq IN ({placed})", seqs)  # noqa: S608
        self.count -= len(seqs)
        await self._sightings.forget(self._database, subjects)
        return len(seqs)

    async def prune(self, max_count: int, met_before_ms: int | None, seen_before_ms: int | None) -> int:
        """Let go of those last met too long ago and of what is too many, a few at a time; returns how many."""
        total = 0
        while True:
            over = min(_PRUNED_AT_ONCE, self.count - max_count)
            rows = await self._database.fetch(_OVER, [over]) if over > 0 else []
            if not rows and met_before_ms is not None:
                rows = await self._database.fetch(_OLD, [met_before_ms, _PRUNED_AT_ONCE])
            if not rows:
                break
            await self.remove(seq for (seq,) in rows)
            total += len(rows)
        if seen_before_ms is not None:
            await self._database.fetch("DELETE FROM sighting WHERE seen_at < ?", [seen_before_ms])
        return total
