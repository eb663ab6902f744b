"""What only a running agent can find out about its line: whether Flash takes its keys, and what they may do.

Asked for by `GET /v1/diagnostics`, and by the doctor itself where no agent runs. Every call is one that cannot change
anything at Flash: a read, a batch of nothing, or something about an order or a coupon whose random id nobody has. One
diagnosis goes at a time and stays good for CACHED_S; nothing is asked in a drill or while Flash wants to be left alone,
and a pause that it asks for here holds for all.
"""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from agent.clock import Clock, rfc3339, to_ms
from agent.delivery import Contact, Kind, Outcome
from agent.flash import harmless
from agent.flash import outcome as table
from agent.flash.client import FlashClient
from agent.flash.harmless import Question
from agent.scrub import scrubbed

CACHED_S = 20.0
LIMIT_S = 8.0  # for all calls together
_LONGEST_NUMBER = 16
_LATER = frozenset({408, 425, 429})
_REFUSED = frozenset({401, 403})

Which = Literal["write", "read"]
Verdict = Literal["allowed", "key-refused", "scope-refused", "throttled", "troubled", "unreachable", "not-flash"]
_VERDICTS: dict[Contact, Verdict] = {
    Contact.KEY_REFUSED: "key-refused",
    Contact.ENDPOINT_REFUSED: "scope-refused",
    Contact.THROTTLED: "throttled",
    Contact.TROUBLED: "troubled",
    Contact.UNREACHABLE: "unreachable",
}
_GOES_ON = frozenset({"allowed", "scope-refused"})
_RATE_HEADERS = {
    f"{prefix}ratelimit-{name}": name for prefix in ("x-", "") for name in ("limit", "remaining", "reset")
}  # where Flash tells; the contract names none


class Tried(NamedTuple):
    """A harmless call, and what Flash said to it."""

    which: Which
    call: str
    verdict: Verdict
    http_status: int | None = None
    detail: str = ""


class Diagnosis:
    """Asks through one client. `keep_off` says why a key may not be used now; `learn` is told of a pause."""

    def __init__(
        self,
        flash: FlashClient,
        clock: Clock,
        store_id: str | None,
        *,
        keep_off: Callable[[Which], str | None] = lambda _which: None,
        may_write: Callable[[], bool] = lambda: True,
        learn: Callable[[Which, Outcome], None] = lambda _which, _outcome: None,
    ) -> None:
        self._flash = flash
        self._clock = clock
        self._store_id = store_id
        self._keep_off = keep_off
        self._may_write = may_write
        self._learn = learn
        self._asking = asyncio.Lock()
        self._known: dict[str, Any] | None = None
        self._known_at = 0.0
        self._store_shown: bool | None = None
        self._rate: dict[str, int] = {}

    async def facts(self) -> dict[str, Any]:
        """The fields of DiagnosticsView that Flash's answers fill; never raises for what a network does."""
        async with self._asking:
            if self._known is None or self._clock.monotonic() - self._known_at > CACHED_S:
                self._known = await self._ask()
                self._known_at = self._clock.monotonic()
            return self._known

    async def _ask(self) -> dict[str, Any]:
        asked_at = rfc3339(to_ms(self._clock.now()))
        self._store_shown, self._rate = None, {}
        kept_off: dict[str, str | None] = {"write": self._keep_off("write"), "read": self._keep_off("read")}
        tried: list[Tried] = []
        in_time = True
        try:
            async with asyncio.timeout(LIMIT_S):
                for which in ("write", "read"):
                    await self._ask_with(which, tried)
        except TimeoutError:
            in_time = False
        return {
            "askedAt": asked_at,
            "complete": in_time,
            "keptOff": kept_off,
            "calls": [_as_json(each) for each in tried],
            "storeShown": self._store_shown,
            "rateLimit": self._rate,
            "clockSkewSeconds": self._flash.clock_skew_s,
            "ownReadKey": not self._flash.reads_with_write_key,
        }

    async def _ask_with(self, which: Which, tried: list[Tried]) -> None:
        """Every call with one key, until one shows that there is no use in the next."""
        for call in self._calls(which):
            if self._keep_off(which) is not None:
                return
            answer = await self._flash.attempt(call.method, call.path, call.body, write_key=which == "write")
            result = self._judge(which, call, answer)
            tried.append(result)
            if result.verdict not in _GOES_ON:
                return
            if which == "write" and not self._may_write():
                return

    def _calls(self, which: Which) -> list[Question]:
        nobody = f"doctor-{uuid.uuid4().hex}"
        if which == "write":
            refund, redemption = harmless.refund(nobody, "doctor"), harmless.redemption(nobody)
            return [harmless.STORES, harmless.NO_SALES, refund, harmless.NO_MEMBERS, redemption]
        reads = [harmless.member(nobody), harmless.orders_since(to_ms(self._clock.now()))]
        return reads if self._flash.reads_with_write_key else [*reads, harmless.NO_SALES]

    def _judge(self, which: Which, call: Question, answer: Any) -> Tried:
        """Any word of Flash's own but 401 and 403 means that the call is open to the key."""
        if isinstance(answer, Outcome):
            return Tried(which, call.shown, _VERDICTS.get(answer.contact, "unreachable"), None, answer.detail)
        parsed = table.parse(answer.body)
        self._rate |= {
            name: int(value)
            for header, name in _RATE_HEADERS.items()
            if (value := answer.headers.get(header, "")).isdecimal() and len(value) < _LONGEST_NUMBER
        }
        later = answer.status in _LATER or answer.status >= 500
        if not later and answer.status not in _REFUSED and parsed is not None:
            if call is harmless.STORES and answer.status == 200:
                self._store_shown = self._shows_store(parsed)
            return Tried(which, call.shown, "allowed", answer.status)
        pause_s = self._flash.retry_after_s(answer)
        outcome = table.judge_parsed(Kind.STORE, answer.status, parsed, retry_after=pause_s)
        if later:
            self._learn(which, outcome)
        stranger = outcome.code == "unexpected-answer"
        verdict: Verdict = "not-flash" if stranger else _VERDICTS.get(outcome.contact, "troubled")
        return Tried(which, call.shown, verdict, answer.status, outcome.detail)

    def _shows_store(self, parsed: Any) -> bool | None:
        """None where more pages may name it, or none is asked for."""
        page = harmless.read_stores(parsed)
        if self._store_id is None or page.stores is None:
            return None
        if any(harmless.is_called(each, self._store_id) for each in page.stores):
            return True
        return None if page.next_path else False


def _as_json(tried: Tried) -> dict[str, Any]:
    return {
        "key": tried.which,
        "call": tried.call,
        "verdict": tried.verdict,
        "httpStatus": tried.http_status,
        "detail": scrubbed(tried.detail) or None,
    }
