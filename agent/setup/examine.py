"""The keys and the store, held against Flash with calls that change nothing.

A key shows what it may do by how Flash answers: 401 is no key of Flash's, 403 a key without that right. Whether it may
write is learned from a batch without an order, which does nothing whatever the answer. Raises KeyRefusedError for a
definite no, NoWayError where Flash cannot be asked now.
"""

import asyncio
import functools
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from agent import jsons
from agent.clock import Clock
from agent.delivery import Fate, Kind, Outcome, Parcel
from agent.errors import AgentError
from agent.flash import harmless, wire
from agent.flash import outcome as table
from agent.flash.address import FlashAddress
from agent.flash.client import FlashClient
from agent.flash.harmless import NO_SALES
from agent.flash.transport import Answer
from agent.setup import reach

_NOBODY = harmless.member("flash-agent-setup")
Ask = Callable[[], Awaitable[Answer | Outcome]]
PATIENCE_S = 10.0  # with a Flash that asks to slow down


class NoWayError(AgentError):
    """Flash cannot be asked now; the text says why and what to do."""

    code = "flash-unreachable"


class KeyRefusedError(AgentError):
    """Flash does not take the key, or does not let it do what it is for."""

    code = "flash-key-refused"


@dataclass(frozen=True, slots=True)
class StoreSeen:
    """A store as Flash shows it."""

    id: str
    external_id: str | None
    name: str | None
    city: str | None

    def is_called(self, name: str) -> bool:
        """By Flash's id, or by the chain's own."""
        return name in {self.id, self.external_id}

    def __str__(self) -> str:
        known = ", ".join(filter(None, (self.external_id, self.name, self.city)))
        return f"{self.id} ({known})" if known else self.id


@dataclass(frozen=True, slots=True)
class KeySeen:
    """What a key may do. `stores` is None where it may not list them; the clock's skew is Flash's time less ours."""

    stores: tuple[StoreSeen, ...] | None
    looks_up: bool
    writes: bool
    clock_skew_s: float | None


def look_at(address: FlashAddress, which: str, key: SecretStr) -> KeySeen:
    """What the key may do; `which` is `write` or `read`."""
    return asyncio.run(_look_at(address, which, key))


def register(address: FlashAddress, key: SecretStr, external_id: str, name: str, city: str | None) -> str:
    """Make the store at Flash, or find it made: Flash knows it by the external id. Returns Flash's id."""
    return asyncio.run(_register(address, key, {"externalId": external_id, "name": name, "city": city}))


async def _look_at(address: FlashAddress, which: str, key: SecretStr) -> KeySeen:
    client = FlashClient(address, Clock(), write_key=key)
    try:
        desk = _Desk(client, address, which)
        stores = await desk.stores()
        looks_up = await desk.may(functools.partial(client.get, _NOBODY.path))
        sends = functools.partial(client.attempt, NO_SALES.method, NO_SALES.path, NO_SALES.body, write_key=True)
        writes = await desk.may(sends)
        return KeySeen(stores, looks_up, writes, client.clock_skew_s)
    finally:
        await client.close()


class _Desk:
    """One key's questions."""

    def __init__(self, client: FlashClient, address: FlashAddress, which: str) -> None:
        self._client = client
        self._address = address
        self._which = which

    async def may(self, ask: Ask) -> bool:
        """Whether Flash lets it."""
        answer = await self._answered(ask)
        if answer is not None and answer.status == 404:
            raise NoWayError(f"What answers at {self._address.base_url} does not know Flash's calls. Check base_url.")
        return answer is not None

    async def stores(self) -> tuple[StoreSeen, ...] | None:
        """All of them; None where the key may not list them."""
        seen: list[StoreSeen] = []
        path = harmless.STORES.path
        for _ in range(harmless.MAX_STORE_PAGES):
            answer = await self._answered(functools.partial(self._client.get, path))
            if answer is None or answer.status == 404:  # a Flash that does not list stores
                return None
            page = harmless.read_stores(table.parse(answer.body))
            seen += _stores_in(page.stores or [])
            if page.next_path is None:
                break
            path = page.next_path
        return tuple(seen)

    async def _answered(self, ask: Ask) -> Answer | None:
        """Flash's own answer; None for a 403. Waits once where Flash asks to slow down."""
        answer = await ask()
        if isinstance(answer, Answer) and answer.status == 429:
            await asyncio.sleep(min(self._client.retry_after_s(answer) or 1.0, PATIENCE_S))
            answer = await ask()
        if isinstance(answer, Outcome):
            raise NoWayError(reach.cause(self._address, answer.detail))
        parsed = table.parse(answer.body)
        if parsed is None:
            detail = f"What answers at {self._address.base_url} is not Flash (status {answer.status})."
            raise NoWayError(f"{detail} Check base_url; in a network with a log-in page, sign in first.")
        if answer.status == 401:
            raise KeyRefusedError(
                f"Flash refused the {self._which} key: it knows no such key. Check that it was copied whole and is "
                "still valid, or ask Flash's administrator for another."
            )
        if answer.status == 403:
            return None
        if answer.status == 429 or answer.status >= 500:
            raise NoWayError(f"Flash cannot answer now (status {answer.status}). Run this again in some minutes.")
        return answer


def _stores_in(rows: list[Any]) -> Iterator[StoreSeen]:
    for row in rows:
        if isinstance(row, dict) and isinstance(row.get("id"), str):
            texts = (row.get(name) for name in ("externalId", "name", "city"))
            external_id, name, city = (text if isinstance(text, str) and text else None for text in texts)
            yield StoreSeen(row["id"], external_id, name, city)


async def _register(address: FlashAddress, key: SecretStr, store: dict[str, str | None]) -> str:
    body = jsons.encode({name: value for name, value in store.items() if value})
    parcel = Parcel(Kind.STORE, wire.STORES_PATH, body, f"setup-store-{uuid.uuid4().hex}")
    client = FlashClient(address, Clock(), write_key=key)
    try:
        outcome = await client.send(parcel)
    finally:
        await client.close()
    if outcome.fate is Fate.SUCCEEDED and isinstance(made := outcome.result.get("id"), str):
        return made
    if outcome.http_status == 403:
        raise KeyRefusedError(
            "The write key may not register stores. Have the store made in Flash and give its store_id."
        )
    raise NoWayError(f"The store was not registered: {outcome.detail or 'Flash named no id.'} Run this again.")
