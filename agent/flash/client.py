"""The Flash client: carries parcels and says what came of it; a Sender for the relay.

The keys leave only in the Authorization header, to the configured base URL. Reads use the read key where there is one.
A key may be changed at any moment: calls under way end with the one that they began with. What an answer means stands
in `outcome.py`, how it travels in `transport.py`.
"""

import asyncio
import codecs
import contextlib
import dataclasses
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal

from pydantic import SecretStr

from agent import __version__
from agent.clock import Clock, to_ms
from agent.delivery import Contact, Fate, Kind, MayLeave, Outcome, Parcel
from agent.flash import outcome as table
from agent.flash import wire
from agent.flash.address import FlashAddress
from agent.flash.harmless import NO_SALES, STORES
from agent.flash.keycheck import Checked, Verdict, find_store, judge, may_write
from agent.scrub import personal_values, scrubbed

if TYPE_CHECKING:
    from agent.flash.transport import Answer, Transport

Which = Literal["write", "read"]
MAX_DETAIL = 300  # of Flash's own words
_DRILL = Outcome(
    Fate.RETRY, Contact.UNREACHABLE, "flash-unreachable", "Flash is not asked: an outage drill runs.", unsent=True
)


class FlashClient:
    """A Sender to Flash v2."""

    def __init__(
        self, address: FlashAddress, clock: Clock, *, write_key: SecretStr | None, read_key: SecretStr | None = None
    ) -> None:
        self._address = address
        self._clock = clock
        self._keys: dict[Which, SecretStr | None] = {"write": write_key, "read": read_key}
        self._under_way: Counter[SecretStr] = Counter()
        self._transport: Transport | None = None
        self._connecting: asyncio.Task[Transport] | None = None
        self.is_cut_off: Callable[[], bool] = lambda: False  # an outage drill: nothing may leave
        self._ahead_ms: int | None = None

    @property
    def reads_with_write_key(self) -> bool:
        """Whether one key serves both, so that what is said of a read is said of the write key too."""
        return self._keys["read"] is None

    def key(self, which: Which) -> SecretStr | None:
        """The key in force; of reads only one of their own."""
        return self._keys[which]

    def change_key(self, which: Which, key: SecretStr) -> None:
        """New calls take this key; calls under way end with the one that they began with."""
        self._keys[which] = key

    def calls_with(self, key: SecretStr) -> int:
        """How many calls are under way with a key."""
        return self._under_way[key]

    async def check(self, key: SecretStr, store_id: str | None, *, writes: bool) -> Checked:
        """Whether Flash takes a key that is not in force yet, and shows this till's store under it; `writes`: and
        lets it send sales.
        """
        found = await find_store(lambda path: self._call_with(key, "GET", path), store_id or "")
        checked = judge(found, store_id, None if isinstance(found, bool | Outcome) else self.retry_after_s(found))
        if not writes or checked.verdict is not Verdict.SHOWN:
            return checked
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"doctor-{uuid.uuid4().hex}"}
        return may_write(await self._call_with(key, NO_SALES.method, NO_SALES.path, NO_SALES.body, headers))

    @property
    def attempt_timeout_s(self) -> float:
        """The total time limit of one attempt."""
        return self._address.attempt_timeout_s

    def time_ms(self) -> tuple[int, bool]:
        """Flash's time in milliseconds, and whether it is known; without a contact yet it is the till's own.

        Counted on from the last contact by the steady clock, so that a till's clock that jumps changes nothing.
        """
        return self._clock.steady_ms() + (self._ahead_ms or 0), self._ahead_ms is not None

    @property
    def clock_skew_s(self) -> float | None:
        """Flash's time less what the till's clock shows now; None before the first contact."""
        flash_ms, known = self.time_ms()
        return round((flash_ms - to_ms(self._clock.now())) / 1000, 1) if known else None

    async def close(self) -> None:
        """Close the connections."""
        if self._connecting is not None:
            with contextlib.suppress(Exception):  # whoever asked was told
                await self._transport_made()
        if self._transport is not None:
            await self._transport.close()

    async def send(self, parcel: Parcel) -> Outcome:
        """One attempt for one operation."""
        body = None if parcel.kind is Kind.REDEMPTION else parcel.body  # the one write without a body
        answer = await self._post(parcel.path, body, parcel.key, parcel.till, may_leave=parcel.may_leave)
        if isinstance(answer, Outcome):
            return answer
        pause = self.retry_after_s(answer)
        outcome = table.judge(parcel.kind, answer.status, answer.body, retry_after=pause, if_known=parcel.if_known)
        return _without_personal(outcome, parcel)

    async def send_batch(self, parcels: Sequence[Parcel]) -> Sequence[Outcome] | Outcome:
        """One attempt for several operations of one kind."""
        kind = parcels[0].kind
        body = wire.batch_body(kind, [parcel.body for parcel in parcels])
        answer = await self._post(wire.BATCH_PATHS[kind], body, wire.batch_key([parcel.key for parcel in parcels]))
        if isinstance(answer, Outcome):
            return answer
        outcomes = table.judge_batch(parcels, answer.status, answer.body, retry_after=self.retry_after_s(answer))
        if isinstance(outcomes, Outcome):
            return outcomes
        return [_without_personal(outcome, parcel) for outcome, parcel in zip(outcomes, parcels, strict=True)]

    async def probe(self, *, write_key: bool) -> Outcome:
        """`GET /stores`: any answer of Flash's own shows that the line works.

        With `write_key` it is asked with that key, to learn whether it is taken; else with the read key, whose refusal
        says nothing about writes.
        """
        answer = await self._call(STORES.method, STORES.path, "write" if write_key else "read")
        if isinstance(answer, Outcome):
            return answer
        parsed = table.parse(answer.body)
        heard = {200, 403, 404} if write_key or self.reads_with_write_key else {200, 401, 403, 404}
        if parsed is not None and answer.status in heard:
            return Outcome(Fate.SUCCEEDED, Contact.ANSWERED, http_status=answer.status)
        verdict = table.judge_parsed(Kind.STORE, answer.status, parsed, retry_after=self.retry_after_s(answer))
        if verdict.fate in {Fate.RETRY, Fate.HOLD}:
            return verdict
        return Outcome(Fate.RETRY, Contact.UNREACHABLE, "unexpected-answer", http_status=answer.status)

    async def shows_store(self, store_id: str) -> bool | Outcome | None:
        """Whether the write key's tenant has this store, by Flash's id or ours; see Sender."""
        found = await find_store(lambda path: self._call("GET", path, "write"), store_id)
        if isinstance(found, bool):
            return found
        if isinstance(found, Outcome) or found.status == 200:
            return None
        pause_s = self.retry_after_s(found)
        verdict = table.judge_parsed(Kind.STORE, found.status, table.parse(found.body), retry_after=pause_s)
        return verdict if verdict.retry_after_s else None

    async def get(self, path: str) -> "Answer | Outcome":
        """One read with the read key; what its answer means is the caller's to judge (`reads.py`)."""
        return await self._call("GET", path, "read")

    async def attempt(
        self, method: str, path: str, body: bytes | None = None, *, write_key: bool
    ) -> "Answer | Outcome":
        """One call that belongs to no operation; what its answer means is the caller's to judge (`diagnosis.py`)."""
        headers = {} if body is None else {"Content-Type": "application/json"}
        if method == "POST":
            headers["Idempotency-Key"] = f"doctor-{uuid.uuid4().hex}"
        return await self._call(method, path, "write" if write_key else "read", body, headers)

    async def _post(
        self, path: str, body: bytes | None, key: str, till: str = "", *, may_leave: MayLeave | None = None
    ) -> "Answer | Outcome":
        headers = {"Idempotency-Key": key, **({} if body is None else {"Content-Type": "application/json"})}
        if till:  # another one's, which died with it
            headers["User-Agent"] = _user_agent(till)
        return await self._call("POST", path, "write", body, headers, may_leave=may_leave)

    async def _call(
        self,
        method: str,
        path: str,
        which: Which,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        may_leave: MayLeave | None = None,
    ) -> "Answer | Outcome":
        """One call; turned away at the door with a key that was replaced meanwhile, it goes again with the new one."""
        while True:
            key = self._keys[which] or self._keys["write"]
            if key is None:
                detail = "No Flash key is configured."
                return Outcome(Fate.HOLD, Contact.KEY_REFUSED, "key-missing", detail, unsent=True)
            answer = await self._call_with(key, method, path, body, headers, may_leave=may_leave)
            was_refused = not isinstance(answer, Outcome) and answer.status in {401, 403}
            if not was_refused or key == (self._keys[which] or self._keys["write"]):
                return answer

    async def _call_with(
        self,
        key: SecretStr,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        may_leave: MayLeave | None = None,
    ) -> "Answer | Outcome":
        self._under_way[key] += 1  # from here on, so that a key with none under way will not be seen at Flash again
        try:
            transport = self._transport or await self._transport_made()
            if self.is_cut_off():
                return _DRILL
            answer = await transport.call(method, path, key, body, headers or {}, may_leave=may_leave)
        finally:
            self._under_way[key] -= 1
        if not isinstance(answer, Outcome):
            self._learn_skew(answer)
        return answer

    async def _transport_made(self) -> "Transport":
        """Made once, in a thread: loading httpx and the trust store takes 0.3 s, and registers must not wait for it."""
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._make_transport())
        return await asyncio.shield(self._connecting)

    async def _make_transport(self) -> "Transport":
        try:
            self._transport = await asyncio.to_thread(self._connect)
        finally:
            self._connecting = None
        return self._transport

    def _connect(self) -> "Transport":
        from agent.flash.transport import Transport  # noqa: PLC0415 - see there

        return Transport(self._address, _user_agent(self._address.till))

    def retry_after_s(self, answer: "Answer") -> float | None:
        """How long an answer asks to be left alone; a date is counted from the answer's own, not the till's."""
        return table.retry_after_s(answer.headers.get("retry-after"), _date_of(answer) or self._flash_time())

    def _flash_time(self) -> datetime:
        flash_ms, known = self.time_ms()
        return datetime.fromtimestamp(flash_ms / 1000, UTC) if known else self._clock.now()

    def _learn_skew(self, answer: "Answer") -> None:
        """Flash's own answers tell the time; a portal's HTML does not."""
        if not answer.body.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"{"):
            return
        moment = _date_of(answer)
        if moment is not None:
            self._ahead_ms = to_ms(moment) - self._clock.steady_ms()


def _date_of(answer: "Answer") -> datetime | None:
    """When an answer was given, by the clock of whoever gave it."""
    try:
        moment = parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError, OverflowError, TypeError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _user_agent(till: str) -> str:
    return f"flash-pos-agent/{__version__} (till {till})"


def _without_personal(outcome: Outcome, parcel: Parcel) -> Outcome:
    """A failure is told in Flash's own words, which may repeat what the document says of a person."""
    if outcome.fate is not Fate.FAILED:
        return outcome
    detail = scrubbed(outcome.detail, personal_values(parcel.body))
    return dataclasses.replace(outcome, detail=detail[:MAX_DETAIL])
