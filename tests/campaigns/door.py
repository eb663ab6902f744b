"""Random requests at the door, most of them a step away from a good one: only those that are good in all are let in.

Each try mixes a Host, an Origin, a token, a method, a path, a content type and a body; what it is entitled to is
decided here, from the parts, without the agent's help. One that is not entitled gets a 4xx that tells nothing of what
the agent keeps; one that is gets its answer. In the end exactly the sales that were let in are stored.
"""

import asyncio
import json
import random
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.agents import AgentProcess, RawAnswer, agent_process, exchange
from tests.support.campaign import Campaign, Control, Size, Tally, is_control
from tests.support.commands import NOWHERE
from tests.support.weakened import Change

TRIES = {Size.SHORT: 6_000, Size.LONG: 300_000}
AT_ONCE = 8
POS, LANE = "https://pos.example.com", "https://lane.example.com:8443"
SECRET = "canary-of-a-member"
OPEN = ("/healthz", "/readyz", "/docs", "/openapi.json")
REGISTERS = ("/v1/status", "/v1/operations", "/v1/operations?status=pending", "/v1/sync", "/v1/members?externalId=C-1")
OPERATORS = ("/metrics", "/v1/tokens")
JSON_TYPES = ("application/json", "application/json; charset=utf-8", "Application/JSON")
OTHER_TYPES = (None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json",
               "application/jsonp", "application/json-seq", "text/plain; application/json", "*/*")  # fmt: skip


@dataclass(frozen=True)
class Token:
    """A token with what it may do; `None` for a scope: nothing."""

    text: str
    scope: str | None
    origin: str | None = None


@dataclass(frozen=True)
class Try:
    """One request, and whether it is entitled to be served."""

    raw: bytes
    entitled: bool
    garbled: bool
    order: str | None  # that a sale would have
    told: str  # for whoever reads of a breach; holds no token


class Chance:
    """Makes tries, from a seed."""

    def __init__(self, seed: int, port: int, tokens: list[Token]) -> None:
        self._random = random.Random(seed)
        self._port = port
        self._tokens = tokens
        self._number = 0

    def next(self) -> Try:
        """The next request."""
        self._number += 1
        hosts, host_is_ours = self._host()
        origin, origin_known = self._origin()
        token, spelt = self._token()
        method, path, needed = self._call()
        order, kind = (f"o-{self._number}", self._content_type()) if method == "POST" else (None, None)
        body = json.dumps({"externalOrderId": order, "customer": {"externalId": "C-1"}, "totalAmount": 1}).encode()
        lines = [f"Host: {host}" for host in hosts]
        lines += [f"Origin: {origin}"] if origin is not None else []
        lines += [f"Authorization: {spelt}"] if spelt is not None else []
        lines += [f"Content-Type: {kind}"] if kind is not None else []
        lines += [f"Content-Length: {len(body)}"] if order else []
        self._random.shuffle(lines)
        raw = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "Connection: close", "", ""]).encode() + (
            body if order else b""
        )
        entitled = (
            host_is_ours and origin_known and self._may(token, needed, origin) and (order is None or kind in JSON_TYPES)
        )
        known = token.scope if token else None
        if garbled := token is not None and known is None and needed != "public":  # no change makes that a good one
            raw = self._garble(raw)
        told = f"{method} {path}, Host {hosts}, Origin {origin}, token of {known or 'nobody'}, {kind}"
        return Try(raw, entitled, garbled, order if path == "/v1/sales" else None, told)

    def _garble(self, raw: bytes) -> bytes:
        """A few bytes changed, left out or put in."""
        changed = bytearray(raw)
        for _ in range(self._random.randint(1, 4)):
            place = self._random.randrange(len(changed))
            byte = self._random.choice((0, 9, 10, 13, 32, 34, 37, 44, 58, 127, 128, 255, self._random.randrange(256)))
            changed[place : place + self._random.randint(0, 2)] = bytes([byte] * self._random.randint(0, 2))
        return bytes(changed)

    def _rarely(self, share: float = 0.3) -> bool:
        return self._random.random() < share

    def _host(self) -> tuple[list[str], bool]:
        port, pick = self._port, self._random.choice
        good = pick([f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", f"LOCALHOST:{port}"])
        if not self._rarely():
            return [good], True
        name = good.rsplit(":", 1)[0]
        twins = [f"evil.example:{port}", f"{name}.evil.example:{port}", f"evil{good}", f"{good}0", f"{name}:1", name,
                 f"{good}@evil.example", f"evil.example#{good}", f"0.0.0.0:{port}", f"127.0.0.2:{port}", f"[::]:{port}",
                 f"{name}:0{port}", ""]  # fmt: skip
        return pick([[pick(twins)], [], [good, good], [good, "evil.example"], ["evil.example", good]]), False

    def _origin(self) -> tuple[str | None, bool]:
        pick = self._random.choice
        if not self._rarely(0.5):
            return None, True
        if not self._rarely(0.5):
            return pick([POS, LANE, f"http://127.0.0.1:{self._port}", f"http://localhost:{self._port}"]), True
        twin = pick([POS, LANE])
        return pick([f"{twin}.evil.example", f"{twin}0", f"{twin}/", f"{twin}@evil.example", twin.replace("s:", ":"),
                     twin.replace("://", "://evil"), twin[:-1], f"{twin} {twin}", "null", "*", "https://evil.example",
                     f"http://127.0.0.1:{self._port}1", "file://", ""]), False  # fmt: skip

    def _token(self) -> tuple[Token | None, str | None]:
        pick = self._random.choice
        token = pick(self._tokens)
        if not self._rarely():
            return token, f"{pick(['Bearer', 'bearer', 'BEARER'])} {token.text}"
        text = token.text
        place = self._random.randrange(len(text))
        twins = [text[:-1], text[:place], f"{text}x", f"x{text}", text[:place] + "." * (len(text) - place),
                 text.swapcase(), text[::-1], "", "null", f"{text},{text}", "A" * 43]  # fmt: skip
        return None, pick([None, text, f"Basic {text}", f"Token {text}", *(f"Bearer {twin}" for twin in twins)])

    def _call(self) -> tuple[str, str, str]:
        pick = self._random.choice
        return pick(
            [
                ("POST", "/v1/sales", "register"),
                ("POST", "/v1/sales", "register"),
                ("GET", pick(REGISTERS), "register"),
                ("GET", pick(OPERATORS), "operator"),
                ("GET", pick(OPEN), "public"),
            ]
        )

    def _content_type(self) -> str | None:
        return self._random.choice(JSON_TYPES if not self._rarely() else OTHER_TYPES)

    def _may(self, token: Token | None, needed: str, origin: str | None) -> bool:
        if needed == "public":
            return True
        if token is None or token.scope is None:
            return False
        bound = origin == token.origin if token.origin else origin != LANE  # which only its own tokens made known
        return bound and (needed == "register" or token.scope == "operator")


async def _tokens(agent: AgentProcess) -> list[Token]:
    """The directory's two, clients' own, and revoked ones."""
    own = {scope: (agent.data_dir / f"{scope}.token").read_text() for scope in ("register", "operator")}
    headers = {"Authorization": f"Bearer {own['operator']}"}
    url = f"http://127.0.0.1:{agent.port}/v1/tokens"
    made = []
    async with aiohttp.ClientSession(headers=headers) as session:

        async def create(name: str, scope: str, origin: str | None = None) -> str:
            async with session.post(url, json={"name": name, "scope": scope, "origin": origin}) as answer:
                assert answer.status == 201, await answer.text()
                return str((await answer.json())["token"])

        for name, scope in (("lane-1", "register"), ("desk", "operator")):
            made.append(Token(await create(name, scope), scope))
        made.append(Token(await create("web", "register", LANE), "register", LANE))
        for name in ("gone-1", "gone-2"):
            made.append(Token(await create(name, "operator"), None))
            async with session.delete(f"{url}/{name}") as answer:
                assert answer.status == 200
    return [*(Token(text, scope) for scope, text in own.items()), *made]


def run(size: Size, seed: int) -> Tally:
    """Try the door of an agent that is a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_campaign(Path(folder), TRIES[size], seed))


async def _campaign(folder: Path, tries: int, seed: int) -> Tally:
    tally, answers = Tally(), Counter[str]()
    origins = {"FLASH_AGENT_API__ALLOWED_ORIGINS": json.dumps([POS])}
    with agent_process(folder / "data", NOWHERE, **origins) as agent:
        tokens = await _tokens(agent)
        await _sell_a_secret(agent, tokens)
        chance = Chance(seed, agent.port, tokens)
        let_in: set[str] = set()

        async def knock() -> None:
            while tally.tries < tries and not (tally.breaches and is_control()):
                tally.tries += 1
                made = chance.next()
                answer = await _send(agent.port, made)
                if answer is None:
                    answers["left without an answer"] += 1
                    continue
                answers["let in" if answer.status < 400 else "turned away"] += 1
                _judge(made, answer, tally)
                if answer.status < 400 and made.order:
                    let_in.add(made.order)

        await asyncio.gather(*(knock() for _ in range(AT_ONCE)))
        stored = await _stored(agent)
    for order in sorted(stored - let_in):
        tally.breaches.append(f"{order} is stored, and was not let in")
    tally.lost = len(let_in - stored)
    tally.figures |= {what: f"{count:,} requests" for what, count in answers.items()}
    return tally


async def _send(port: int, made: Try) -> RawAnswer | None:
    """The answer; None for what is garbled so that its end does not come, or that none can be given."""
    if not made.garbled:
        return await exchange(port, made.raw)
    try:
        return await asyncio.wait_for(exchange(port, made.raw), 0.3)
    except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
        return None


def _judge(made: Try, answer: RawAnswer, tally: Tally) -> None:
    wrong = ""
    if made.entitled and answer.status >= 400 and not (answer.status == 503 and "members" in made.told):
        wrong = "a good request was turned away"
    if not made.entitled:
        if not (400 <= answer.status < 500 or (made.garbled and answer.status == 505)):
            wrong = "it was not turned away"
        elif SECRET.encode() in answer.body:
            wrong = "it was told what the agent keeps"
    if wrong and len(tally.breaches) < 50:
        tally.breaches.append(f"{answer.status}: {wrong}: {made.told}")


async def _sell_a_secret(agent: AgentProcess, tokens: list[Token]) -> None:
    sale = {"externalOrderId": SECRET, "customer": {"externalId": "C-1"}, "totalAmount": 1}
    headers = {"Authorization": f"Bearer {tokens[0].text}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"http://127.0.0.1:{agent.port}/v1/sales", json=sale) as answer,
    ):
        assert answer.status == 202, await answer.text()


async def _stored(agent: AgentProcess) -> set[str]:
    """The order numbers of all sales but the secret one."""
    found: set[str] = set()
    cursor = ""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {agent.token}"}) as session:
        while True:
            url = f"http://127.0.0.1:{agent.port}/v1/operations?limit=200{cursor}"
            async with session.get(url) as answer:
                page: dict[str, Any] = await answer.json()
            found |= {operation["request"]["externalOrderId"] for operation in page["operations"]}
            if page["nextCursor"] is None:
                return found - {SECRET}
            cursor = f"&cursor={page['nextCursor']}"


_GUARD, _TOKENS = "agent/api/guard.py", "agent/tokens.py"


def _weakness(weakness: str, file: str, old: str, new: str) -> Control:
    return Control(weakness, (Change(file, old, new),))


CAMPAIGN = Campaign(
    name="door",
    promise="Nobody without a token, and no foreign page, stores or reads anything",
    unit="requests",
    run=run,
    controls=(
        _weakness(
            "no Host check",
            _GUARD,
            "if len(hosts) != 1 or hosts[0].lower() not in self._hosts or",
            "if",
        ),
        _weakness(
            "Origin compared by its beginning",
            _GUARD,
            "(origin := origins[0].lower()) in self._origins or",
            "(origin := origins[0].lower()).startswith(tuple(self._origins)) or",
        ),
        Control(
            "a token's beginning is enough",
            (
                Change(_TOKENS, "found = hashlib.sha256(token.encode(", "found = hashlib.sha256(token[:20].encode("),
                Change(_TOKENS, "return hashlib.sha256(token.encode(", "return hashlib.sha256(token[:20].encode("),
            ),
        ),
        _weakness(
            "a revoked token is good until the restart",
            _TOKENS,
            "        good = self.all()\n",
            "        good = [*self.all(), *getattr(self, 'seen', [])]\n        self.seen = good\n",
        ),
        _weakness(
            "a bound token is good everywhere",
            _GUARD,
            "        if not sound:\n",
            "        if not sound and caller.origin is None:\n",
        ),
        _weakness(
            "a register's token is an operator's",
            _TOKENS,
            "self.scope is Scope.OPERATOR or needed is self.scope",
            "self.scope is not Scope.PUBLIC",
        ),
        _weakness(
            "content type not checked",
            _GUARD,
            '        if not plain and request.content_type.lower() != "application/json":\n',
            "        if not plain and not request:\n",
        ),
    ),
)
