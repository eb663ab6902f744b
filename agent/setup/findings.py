"""What one set of answers comes to here and now: the port, the store, what the keys may do. Nothing is stored.

Raises AgentError where it cannot be used; NoWayError where Flash cannot be asked, which the caller may decide to do
without.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import SecretStr

from agent.errors import AgentError
from agent.flash.address import FlashAddress
from agent.setup import examine, ports
from agent.setup.answers import Answers, Given
from agent.setup.examine import KeyRefusedError, KeySeen, StoreSeen
from agent.setup.place import Place

USUAL_PORT = 8455
_SKEW_S = 60.0


@dataclass(frozen=True, slots=True)
class Keys:
    """What Flash said of the keys that are there; None for one that was not looked at."""

    write: KeySeen | None
    read: KeySeen | None

    @property
    def stores(self) -> tuple[StoreSeen, ...] | None:
        """The stores of the tenant, where one of the keys may list them."""
        for seen in (self.write, self.read):
            if seen is not None and seen.stores is not None:
                return seen.stores
        return None


@dataclass(frozen=True, slots=True)
class Findings:
    """`store_id` is None for a store that is to be registered first; `notes` are worth a look and stop nothing."""

    port: int
    store_id: str | None
    store: str
    notes: tuple[str, ...]


def of(
    given: Given, place: Place, *, known_key: SecretStr | None = None, known_port: int | None = None, unchecked: bool
) -> Findings:
    """All of it. `known_key` is a write key that the configuration has, `known_port` its port: `auto` prefers that."""
    answers = given.answers
    port = ports.settle(answers.port, place.data_dir, known_port or USUAL_PORT)
    if unchecked or not answers.check:
        if answers.store_id is None:
            raise AgentError("A store is looked up and registered at Flash: without a check give its store_id.")
        return Findings(
            port, answers.store_id, answers.store_id, ("Flash was not asked: keys and store are unchecked.",)
        )
    keys = keys_seen(address(answers), given.write_key or known_key, given.read_key)
    found = store_among(answers, keys.stores, can_write=keys.write is not None)
    notes = tuple(notes_on(keys))
    if found is None:
        where = "(Flash shows no stores to these keys, so it was not checked)" if keys.stores is None else "(new)"
        name = answers.store_id or answers.store_external_id or ""
        return Findings(port, answers.store_id, f"{name} {where}", notes)
    return Findings(port, found.id, str(found), notes)


def address(answers: Answers) -> FlashAddress:
    """Where Flash is, by these answers."""
    proxy = answers.proxy.get_secret_value() if answers.proxy else None
    ca_file = str(answers.ca_file) if answers.ca_file else None
    return FlashAddress(answers.base_url, till=answers.till_id, proxy=proxy, ca_file=ca_file)


def keys_seen(where: FlashAddress, write: SecretStr | None, read: SecretStr | None) -> Keys:
    """What Flash says of them; raises KeyRefusedError for a write key that may not write."""
    seen = Keys(
        examine.look_at(where, "write", write) if write else None,
        examine.look_at(where, "read", read) if read else None,
    )
    if seen.write is not None and not seen.write.writes:
        raise KeyRefusedError(
            "The write key may read and not write: it is a read-only key. Give it as read_key, and for write_key one "
            "of the write preset."
        )
    if seen.read is not None and not seen.read.looks_up:
        raise KeyRefusedError(
            "The read key may not look up members, so it is of no use. Leave it out, or give another."
        )
    return seen


def store_among(answers: Answers, stores: tuple[StoreSeen, ...] | None, *, can_write: bool) -> StoreSeen | None:
    """The store that the answers name; None where it is to be registered, or Flash does not show its stores.

    Raises AgentError for one that is not there.
    """
    name = answers.store_id or answers.store_external_id or ""
    found = next((store for store in stores or () if store.is_called(name)), None)
    if found is not None or (answers.store_id and stores is None):
        return found
    if answers.store_id:
        raise AgentError(
            f"Flash does not show a store {name} to this key. Check store_id, or whether the key is another chain's; "
            f"{_shown(stores)}."
        )
    if not answers.register_store:
        raise AgentError(
            f"Flash has no store with the external id {name} under this key. Add register_store = true and "
            f"store_name to register it, or check the id; {_shown(stores)}."
        )
    if not can_write:
        raise AgentError("Registering a store takes the write key: give it once more.")
    return None


def notes_on(keys: Keys) -> Iterator[str]:
    """What is worth a look."""
    if keys.write is None:
        yield "The agent keeps its write key; it was not checked here (flash-agent doctor does)."
    if (seen := keys.write or keys.read) is None:
        return
    if keys.read is None and not seen.looks_up:
        yield "The write key may not look up members: give a read key, or registers see no points."
    if keys.read is not None and keys.read.writes:
        yield "The read key may write, too: a read-only key would do, and could do no harm."
    if keys.read is not None and keys.write is not None and _are_strangers(keys.write.stores, keys.read.stores):
        yield "The read key shows other stores than the write key: are both of the same chain?"
    if (skew_s := seen.clock_skew_s) is not None and abs(skew_s) > _SKEW_S:
        way = "behind" if skew_s > 0 else "ahead of"
        yield (
            f"This till's clock is {_span(abs(skew_s))} {way} Flash's. Mend its time service (NTP, w32time): business "
            "dates and receipts show the till's time."
        )


def _are_strangers(ours: tuple[StoreSeen, ...] | None, theirs: tuple[StoreSeen, ...] | None) -> bool:
    return bool(ours) and theirs is not None and not {store.id for store in ours or ()} & {store.id for store in theirs}


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{round(minutes / 60)} h"


def _shown(stores: tuple[StoreSeen, ...] | None) -> str:
    if not stores:
        return "it shows none"
    more = f" and {len(stores) - 5} more" if len(stores) > 5 else ""
    return f"it shows {', '.join(map(str, stores[:5]))}{more}"
