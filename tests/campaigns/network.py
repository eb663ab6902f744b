"""Every weather of a network between the agent and Flash, under every kind of call.

Several stations at once, each an agent process, a proxy that spoils connections to order, and a strict Flash behind it.
A station goes through its weathers one by one: the line is well; then the weather sets in and a register makes one call
of each kind, twice (the first time the agent does not know yet, the second time it may); then the weather clears and
everything must settle. Witnesses stand where a redirect, a proxy of the environment or a wrong certificate leads: they
must hear nothing.
"""

import asyncio
import contextlib
import itertools
import random
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.agents import AgentProcess, strict_flash
from tests.support.campaign import Campaign, Control, Size, Tally, is_control
from tests.support.certificates import HOST, Certificates
from tests.support.chaos_proxy import ChaosProxy, Conduct
from tests.support.forking import Forks
from tests.support.strangers import Stranger, TlsFront, portal, redirecting, witness
from tests.support.strict_flash import StrictFlash
from tests.support.tills import Till
from tests.support.weakened import Change
from tests.support.witness import Witness

ROUNDS = {Size.SHORT: 1, Size.LONG: 25}
ALLOWANCE_S = {Size.SHORT: 3.0, Size.LONG: 1.0}  # beyond the asked wait; a machine may be busy
ATTEMPT_LIMIT_S = 2.0
LOOK_UP_S = 0.8
WAITS_S = (0.3, 1.5)
SETTLE_S = 15.0 if is_control() else 90.0
MEMBER = {"externalId": "POS-CUST-5512"}


@dataclass(frozen=True, slots=True)
class Weather:
    """How connections are conducted, and who stands at their end."""

    name: str
    conduct: Conduct = Conduct.FAIR
    behind: str = "flash"


BYTES = [Weather(conduct.value, conduct) for conduct in Conduct if conduct is not Conduct.FAIR]
STRANGERS = [Weather(name, behind=name) for name in ("portal 200", "portal 302", "301", "307", "308")]
TLS = [Weather(name, behind=name) for name in ("expired", "unknown authority", "wrong host", "self-signed")]
TLS += [Weather(f"{name} over TLS", behind=f"{name} over TLS") for name in ("portal 200", "307")]
TLS += [Weather(f"{c.value} under TLS", c) for c in (Conduct.RESET_REQUEST, Conduct.HALF_OPEN, Conduct.BLACK_HOLE)]
NO_NAME = Weather("a name that does not resolve")
PLAIN_STATIONS, TLS_STATIONS = 4, 3
TELLING = (Conduct.BLACK_HOLE.value, "307", "portal 200", "expired")  # where a control shows itself, if anywhere


class FoundError(Exception):
    """A control has found what it was run for."""


@dataclass(slots=True)
class Seen:
    """What all stations saw together."""

    tally: Tally
    size: Size
    chance: random.Random
    forks: Forks
    worst_s: dict[str, float] = field(default_factory=dict)
    drained_s: float = 0.0
    weathers: set[str] = field(default_factory=set)

    def breach(self, text: str) -> None:
        if len(self.tally.breaches) < 50:
            self.tally.breaches.append(text)
        if is_control():
            raise FoundError


@dataclass(slots=True)
class Station:
    """An agent, its proxy and its Flash, with whoever may stand behind the proxy."""

    seen: Seen
    agent: AgentProcess
    proxy: ChaosProxy
    flash: StrictFlash
    till: Till
    behind: dict[str, tuple[str, int]]
    silent: dict[str, Stranger | TlsFront]
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    told_no: dict[str, str] = field(default_factory=dict)  # coupons, by the redemption that did not honor them

    async def go_through(self, weathers: Iterable[Weather]) -> None:
        for weather in weathers:
            await self.meet(weather)

    async def meet(self, weather: Weather) -> None:
        sold = await self._fair()
        if sold is None:
            self.seen.breach(f"before {weather.name}: the way back was not found in time")
            return
        await self.proxy.order(weather.conduct, self.behind[weather.behind])
        for half in (sold[:1], sold[1:]):
            await self.all_calls(weather.name, half)
        await self.proxy.order(Conduct.FAIR, self.behind["flash"])
        await self.settle(weather.name)

    async def settle(self, name: str) -> None:
        begun = time.monotonic()
        try:
            await self.till.settled(self.flash, SETTLE_S)
        except TimeoutError:
            self.seen.breach(f"{name}: what was pending did not settle in time once the weather was fair")
        self.seen.drained_s = max(self.seen.drained_s, time.monotonic() - begun)
        self.seen.weathers.add(name)
        self._nobody_else_heard(name)

    def _nobody_else_heard(self, name: str) -> None:
        for place, stranger in self.silent.items():
            if stranger.heard:
                said = len(stranger.heard)
                stranger.heard.clear()
                self.seen.breach(f"{name}: {said} bytes were said to {place}")

    async def _fair(self) -> list[str] | None:
        """Sell two baskets, to be refunded later, and look the member up; None when it does not come about."""
        sold = []
        deadline = time.monotonic() + SETTLE_S
        while len(sold) < 2:
            order = f"o{next(self.numbers)}"
            _, operation = await self.till.post("/v1/sales", _sale(order), 5)
            if operation["status"] == "succeeded":
                sold.append(order)
            elif time.monotonic() > deadline:
                return None
            else:
                self._nobody_else_heard("fair weather")
                await asyncio.sleep(0.1)  # the agent finds the way back with pauses of its own
        await self._ask(f"/v1/members?externalId={MEMBER['externalId']}", 5)
        self._nobody_else_heard("fair weather")
        return sold

    async def all_calls(self, name: str, sold: Sequence[str]) -> None:
        """One call of each kind at once; `sold` is what may be refunded."""
        number = next(self.numbers)
        coupon = f"C-{number}"
        self.flash.add_coupon(coupon, self.flash.add_member(**MEMBER))
        calls = [
            self._write(name, "sale", "/v1/sales", _sale(f"o{number}"), self._wait_s()),
            self._write(name, "sale without a wait", "/v1/sales", _sale(f"o{number}-2"), 0),
            self._write(name, "enrollment", "/v1/enrollments", {"externalId": f"new-{number}"}, self._wait_s()),
            self._redeem(name, coupon),
            self._look_up(name, MEMBER["externalId"], (200, "cache")),
            self._look_up(name, f"nobody-{number}", (503, "member-unknown-offline")),
        ]
        for order in sold:
            refund = {"externalOrderId": order, "refundId": "r"}
            calls.append(self._write(name, "refund", "/v1/refunds", refund, self._wait_s()))
        async with asyncio.TaskGroup() as together:
            for call in calls:
                together.create_task(call)

    def _wait_s(self) -> float:
        return round(self.seen.chance.uniform(*WAITS_S), 2)

    async def _write(self, name: str, kind: str, path: str, body: dict[str, Any], wait_s: float) -> None:
        answer = await self._timed(name, kind, wait_s, self.till.post(path, body, wait_s))
        if answer is not None and (answer[0], answer[1].get("status")) != (202, "pending"):
            self.seen.breach(f"{name}, {kind}: {answer[0]} {answer[1].get('status') or answer[1].get('code')}")

    async def _redeem(self, name: str, coupon: str) -> None:
        wait_s = self._wait_s()
        body = {"couponId": coupon, "transactionId": f"t-{coupon}", "customer": MEMBER}
        answer = await self._timed(name, "redemption", wait_s, self.till.post("/v1/redemptions", body, wait_s))
        if answer is not None and answer[0] in {200, 202} and not answer[1]["honor"]:
            self.told_no[coupon] = answer[1]["id"]
        elif answer is not None:
            self.seen.breach(f"{name}, redemption: {answer[0]} {answer[1]}")

    async def _look_up(self, name: str, member: str, expected: tuple[int, str]) -> None:
        asked = self._ask(f"/v1/members?externalId={member}", 30)
        answer = await self._timed(name, "look-up", LOOK_UP_S, asked)
        if answer is not None and (got := (answer[0], answer[1].get("source") or answer[1].get("code"))) != expected:
            self.seen.breach(f"{name}, look-up: {got} instead of {expected}")

    async def _ask(self, path: str, limit_s: float) -> tuple[int, dict[str, Any]]:
        url = f"http://127.0.0.1:{self.agent.port}{path}"
        headers = {"Authorization": f"Bearer {self.agent.token}"}
        limit = aiohttp.ClientTimeout(total=limit_s)
        async with self.till.session.get(url, headers=headers, timeout=limit) as response:
            return response.status, await response.json()

    async def _timed(self, name: str, kind: str, wait_s: float, call: Any) -> tuple[int, dict[str, Any]] | None:
        """The answer of a call, which may take `wait_s` and the allowance."""
        self.seen.tally.tries += 1
        begun = time.monotonic()
        try:
            async with asyncio.timeout(wait_s + 12):
                answer: tuple[int, dict[str, Any]] = await call
        except (TimeoutError, aiohttp.ClientError, OSError) as fault:
            self.seen.breach(f"{name}, {kind}: no answer after {time.monotonic() - begun:.1f} s ({fault!r})")
            return None
        over = time.monotonic() - begun - wait_s
        self.seen.worst_s[kind] = max(over, self.seen.worst_s.get(kind, -9.0))
        if over > ALLOWANCE_S[self.seen.size]:
            self.seen.breach(f"{name}, {kind}: the answer came {over:.2f} s after the wait of {wait_s} s")
        return answer

    async def judge(self, book: Witness) -> None:
        shown = await self.till.operations()
        book.judge(self.flash, shown).add_to(self.seen.tally)
        now = {operation["id"]: operation for operation in shown}
        burned = {effect["natural"].removeprefix("coupon:") for effect in self.flash.effects}
        for coupon, operation_id in self.told_no.items():
            operation = now.get(operation_id, {})
            owed = operation.get("credit") in {"open", "used"} or operation.get("status") in {"failed", "pending"}
            if coupon in burned and not owed:
                self.seen.breach(f"coupon {coupon} was burned behind the customer's back: {operation.get('status')}")


def _sale(order: str) -> dict[str, Any]:
    return {"externalOrderId": order, "customer": MEMBER, "totalAmount": 20}


# ---- stations -----------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _station(
    folder: Path, seen: Seen, certificates: Certificates | None = None
) -> AsyncIterator[tuple[Station, Witness]]:
    """A station; with certificates the agent speaks TLS."""
    folder.mkdir()
    async with contextlib.AsyncExitStack() as stack:
        flash = stack.enter_context(strict_flash())
        flash.set(strict_redeem=False)
        ends = (flash.host, flash.port)
        silent: dict[str, Stranger | TlsFront] = {}
        silent["the environment's proxy"] = forward = await stack.enter_async_context(witness())
        silent["a redirect's goal"] = goal = await stack.enter_async_context(witness())
        behind = {"flash": ends}
        strangers = {"portal 200": portal(), "portal 302": redirecting(302, f"http://{HOST}:{goal.port}/login")}
        for status in (301, 307, 308):
            strangers[str(status)] = redirecting(status, f"http://{HOST}:{goal.port}")
        for name, stranger in strangers.items():
            behind[name] = (await stack.enter_async_context(stranger)).address
        if certificates is not None:
            for name in ("flash", "portal 200"):
                front = await stack.enter_async_context(TlsFront(certificates.trusted, behind[name]))
                behind[name if name == "flash" else f"{name} over TLS"] = front.address
            silent["a redirect's goal under TLS"] = safe = await stack.enter_async_context(
                witness(certificates.trusted)
            )
            further = await stack.enter_async_context(redirecting(307, f"https://127.0.0.1:{safe.port}"))
            front = await stack.enter_async_context(TlsFront(certificates.trusted, further.address))
            behind["307 over TLS"] = front.address
            for name, context in certificates.wrong.items():
                silent[f"a certificate: {name}"] = front = await stack.enter_async_context(TlsFront(context, ends))
                behind[name] = front.address
        proxy = await stack.enter_async_context(ChaosProxy(behind["flash"], seen.chance.randrange(2**32)))
        scheme, host = ("http", "127.0.0.1") if certificates is None else ("https", HOST)
        flash.known_as = f"{host}:{proxy.port}"
        environment = _environment(folder, certificates, f"http://127.0.0.1:{forward.port}")
        base_url = f"{scheme}://{host}:{proxy.port}/api/v2"
        agent = AgentProcess(folder / "data", base_url, launch=seen.forks.launch, **environment)
        stack.callback(agent.kill)
        await asyncio.to_thread(agent.start)
        book = Witness(folder / "witness.jsonl")
        stack.callback(book.close)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Station(seen, agent, proxy, flash, Till(agent, session, book), behind, silent), book


def _environment(folder: Path, certificates: Certificates | None, forward: str) -> dict[str, str]:
    chosen = {
        "FLASH_AGENT_FLASH__ATTEMPT_TIMEOUT_S": str(ATTEMPT_LIMIT_S),
        "FLASH_AGENT_MEMBERS__FRESH_S": "0",
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"), forward),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), ""),
    }
    if certificates is not None:
        certificates.authority.cert_pem.write_to_path(folder / "authority.pem")
        chosen["FLASH_AGENT_FLASH__CA_FILE"] = str(folder / "authority.pem")
    return chosen


async def _weathered(folder: Path, seen: Seen, weathers: Sequence[Weather], certificates: Certificates | None) -> None:
    async with _station(folder, seen, certificates) as (station, book):
        await station.go_through(weathers)
        await station.judge(book)


async def _nameless(folder: Path, seen: Seen) -> None:
    """A base URL whose host no name server knows; then the agent is started again with one that works."""
    async with _station(folder, seen) as (station, book):
        agent = station.agent
        lost = AgentProcess(folder / "data", "https://flash-agent-test.invalid/api/v2", launch=seen.forks.launch)
        sold = await station._fair()
        await asyncio.to_thread(agent.kill)
        lost.port = agent.port
        try:
            await asyncio.to_thread(lost.start)
            for half in (sold or [])[:1], (sold or [])[1:]:
                await station.all_calls(NO_NAME.name, half)
        finally:
            await asyncio.to_thread(lost.kill)
        await asyncio.to_thread(agent.start)
        await station.settle(NO_NAME.name)
        await station.judge(book)


# ---- the campaign -------------------------------------------------------------------------------------------------


def run(size: Size, seed: int) -> Tally:
    """All weathers, in an order that the seed deals to the stations."""
    with tempfile.TemporaryDirectory() as made, Forks() as forks:
        seen = Seen(Tally(), size, random.Random(seed), forks)
        try:
            asyncio.run(_campaign(Path(made), ROUNDS[size], seen))
        except* FoundError:
            pass
    tally = seen.tally
    if not seen.worst_s:
        return tally
    worst = max(seen.worst_s, key=lambda kind: seen.worst_s[kind])
    tally.figures["worst answer beyond its wait"] = f"{seen.worst_s[worst] * 1000:.0f} ms ({worst})"
    tally.figures["longest until all had settled"] = f"{seen.drained_s:.1f} s after the weather cleared"
    tally.figures["weathers"] = f"{len(seen.weathers)}"
    return tally


async def _campaign(folder: Path, rounds: int, seen: Seen) -> None:
    certificates = Certificates.make()
    for number in range(rounds):
        here = folder / str(number)
        here.mkdir()
        dealt = _deal(seen, certificates)
        work = [_weathered(here / f"s{i}", seen, mine, trust) for i, (mine, trust) in enumerate(dealt)]
        if not is_control():
            work.append(_nameless(here / "nameless", seen))
        async with asyncio.TaskGroup() as stations:
            for each in work:
                stations.create_task(each)
        if not seen.tally.held:
            return


def _deal(seen: Seen, certificates: Certificates) -> list[tuple[list[Weather], Certificates | None]]:
    """Which station meets what, in which order, and whether under TLS."""
    plain, tls = [*BYTES, *STRANGERS], [*TLS]
    if is_control():
        telling: list[tuple[list[Weather], Certificates | None]] = []
        telling += [([weather], None) for weather in plain if weather.name in TELLING]
        return telling + [([weather], certificates) for weather in tls if weather.name in TELLING]
    seen.chance.shuffle(plain)
    seen.chance.shuffle(tls)
    dealt: list[tuple[list[Weather], Certificates | None]] = []
    dealt += [(plain[start::PLAIN_STATIONS], None) for start in range(PLAIN_STATIONS)]
    dealt += [(tls[start::TLS_STATIONS], certificates) for start in range(TLS_STATIONS)]
    return dealt


TRANSPORT = "agent/flash/transport.py"
CAMPAIGN = Campaign(
    name="network",
    promise="In any weather no register waits beyond its wait, no key goes astray, and nothing is lost or doubled",
    unit="calls",
    run=run,
    controls=(
        Control("redirects followed", (Change(TRANSPORT, "follow_redirects=False", "follow_redirects=True"),)),
        Control("certificates not verified", (Change(TRANSPORT, "verify=_trust(address)", "verify=False"),)),
        Control("the environment's proxy used", (Change(TRANSPORT, "trust_env=False", "trust_env=True"),)),
        Control(
            "attempts without a time limit",
            (
                Change(TRANSPORT, "asyncio.timeout(self._address.attempt_timeout_s)", "asyncio.timeout(None)"),
                Change(
                    TRANSPORT,
                    "httpx.Timeout(address.attempt_timeout_s, connect=address.attempt_timeout_s * CONNECT_SHARE)",
                    "None",
                ),
            ),
        ),
        Control(
            "waits without a bound",
            (
                Change(
                    "agent/outbox/waiting.py",
                    "asyncio.timeout(min(wait_s, PROBE_WAIT_S) if dead else wait_s)",
                    "asyncio.timeout(None)",
                ),
            ),
        ),
        Control(
            "a portal's page taken for a yes",
            (
                Change(
                    "agent/flash/outcome.py",
                    '        return _not_flash(status, "The answer is not Flash\'s: it is not JSON.")\n'
                    '    data = body.get("data")',
                    "        return Outcome(Fate.SUCCEEDED, Contact.ANSWERED, http_status=status)\n"
                    '    data = body.get("data")',
                ),
            ),
        ),
    ),
)
