"""Coupons that this till saw active for a member: what the rules of redemption in doubt ask for.

A sighting outlives its snapshot, and a coupon that Flash no longer lists: then it is shown as not active any more, with
the time of the last look. Written with the snapshots, erased by `forget` or after 400 days.
"""

import secrets
from collections.abc import Sequence
from typing import Any

from agent import jsons
from agent.coupons import Sighting
from agent.flash import readings
from agent.members.snapshot import News
from agent.members.vault import Vault
from agent.storage import Database, Transaction
from agent.storage.statements import placeholders, values_rows

KEPT_DAYS = 400
_BY_ID = "member:memberId:"
NOT_LISTED = "not-listed"  # a status of our own: Flash lists the coupon no longer

_SAVE = """
INSERT INTO sighting (id, coupon, member, keys, active, seen_at, clock_known, content) VALUES {rows}
ON CONFLICT (coupon, member) DO UPDATE SET
  keys = excluded.keys, active = excluded.active, seen_at = excluded.seen_at, clock_known = excluded.clock_known,
  content = excluded.content
"""
_OF_COUPON = "SELECT id, keys, seen_at, clock_known, content FROM sighting WHERE coupon = ? ORDER BY seen_at DESC"


_FORGET = """
DELETE FROM sighting
WHERE seq BETWEEN ? AND ?
  AND EXISTS (SELECT 1 FROM json_each(sighting.keys) AS own WHERE own.value IN ({named}))
"""
_SLICE = 2_000


class SightingTable:
    """The table; writes happen inside the snapshots' transactions."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def record(self, transaction: Transaction, news: News, subjects: Sequence[bytes]) -> None:
        """Note what a whole list of a member's coupons shows."""
        member = subjects[0]
        before = {
            coupon: (row_id, content, active)
            for coupon, row_id, content, active in await transaction.fetch(
                "SELECT coupon, id, content, active FROM sighting WHERE member = ?", [member]
            )
        }
        listed = {self._vault.coupon_hash(readings.coupon_id(coupon)): coupon for coupon in news.parts["coupons"]}
        rows = []
        for digest, coupon in listed.items():
            active = readings.coupon_is_active(coupon)
            if active or digest in before:
                rows.append(
                    self._row(
                        before[digest][0] if digest in before else "", digest, coupon, news, subjects, active=active
                    )
                )
        for digest, (row_id, content, was_active) in before.items():
            coupon = (self._vault.open(content, row_id, "content") or {}).get("coupon") if was_active else None
            if coupon and digest not in listed:
                gone = {**coupon, "status": NOT_LISTED}
                rows.append(self._row(row_id, digest, gone, news, subjects, active=False))
        if rows:
            placed, parameters = values_rows(rows)
            await transaction.fetch(_SAVE.format(rows=placed), parameters)

    def _row(
        self, row_id: str, digest: bytes, coupon: Any, news: News, subjects: Sequence[bytes], *, active: bool
    ) -> list[Any]:
        row_id = row_id or secrets.token_hex(8)
        keys = jsons.dumps([subject.hex() for subject in subjects])
        content = self._vault.seal({"coupon": coupon, "member": news.member_id}, row_id, "content")
        return [row_id, digest, subjects[0], keys, int(active), news.at_ms, int(news.clock_known), content]

    async def forget(self, database: Database, subjects: Sequence[bytes]) -> None:
        """Erase what was seen of the members whom any of the hashes names, in slices that no register feels."""
        named = [subject.hex() for subject in subjects]
        ((last,),) = await database.fetch("SELECT COALESCE(max(seq), 0) FROM sighting")
        for first in range(1, last + 1, _SLICE):
            await database.fetch(_FORGET.format(named=placeholders(len(named))), [first, first + _SLICE - 1, *named])


class MemberSightings:
    """The `Sightings` of `agent.coupons`, on the snapshots' tables."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def sighting(self, coupon_id: str, subjects: Sequence[str]) -> Sighting | None:
        """See the protocol."""
        wanted = self._wanted(subjects)
        for row_id, keys, seen_at, clock_known, content in await self._database.fetch(
            _OF_COUPON, [self._vault.coupon_hash(coupon_id)]
        ):
            if wanted and not wanted & set(jsons.loads_own(keys)):
                continue
            opened = self._vault.open(content, row_id, "content")
            if opened:
                return Sighting(opened["coupon"], opened["member"], seen_at, bool(clock_known))
        return None

    def _wanted(self, subjects: Sequence[str]) -> set[str]:
        """The hashes of the member's keys; where its id is given that alone counts, as it does at Flash."""
        ids = [subject for subject in subjects if subject.startswith(_BY_ID)]
        return {self._vault.hash(subject).hex() for subject in (ids or subjects)}
