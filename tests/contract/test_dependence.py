"""Who waits for whom: the rule stands in state.py, in the view, in the accept and in the claim; here it is one rule."""

import asyncio
import itertools
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent import jsons, outbox
from agent.clock import Clock
from agent.delivery import Kind
from agent.health import Health
from agent.outbox.operation import Content, Draft, Settlement, Verdict
from agent.outbox.state import PREDECESSORS, UPSERTS, Status
from agent.outbox.store import Store
from agent.storage import Database, KeyFile, Sealer
from agent.storage.migrations import migrate

PEOPLE = ["a", "b", "c"]
SETTLED = {Status.SUCCEEDED, Status.DECLINED, Status.DISCARDED}

accepts = st.tuples(
    st.sampled_from([Kind.SALE, Kind.REFUND, Kind.ENROLLMENT, Kind.STORE, Kind.CATALOG]),
    st.integers(0, 2),
    st.sets(st.sampled_from(PEOPLE), min_size=1, max_size=2),
)
settles = st.tuples(st.just("settle"), st.integers(0, 30), st.sampled_from([Status.SUCCEEDED, Status.FAILED]))
steps = st.lists(st.one_of(accepts, accepts, settles), max_size=16)


@dataclass
class Known:
    """What the model knows of an accepted operation."""

    seq: int
    kind: Kind
    scope: str
    people: set[str]
    status: Status = Status.PENDING
    operation: object = field(default=None, repr=False)


def waits_for(mine: Known, all_known: list[Known]) -> set[int]:
    """The rule: earlier unsettled ones of these kinds with a common subject."""
    return {
        other.seq
        for other in all_known
        if other.seq < mine.seq
        and other.kind in PREDECESSORS[mine.kind]
        and other.status not in SETTLED
        and (other.scope == mine.scope or (other.kind is Kind.ENROLLMENT and other.people & mine.people))
    }


def chain(mine: Known, all_known: list[Known]) -> set[int]:
    found, todo = set(), [mine]
    while todo:
        one = todo.pop()
        found.add(one.seq)
        todo += [known for known in all_known if known.seq in waits_for(one, all_known) - found]
    return found


def draft(kind: Kind, number: int, people: set[str], count: int) -> Draft:
    scope = f"order:{number}" if kind in {Kind.SALE, Kind.REFUND} else f"{kind}:{number}"
    if kind is Kind.ENROLLMENT:
        scope = f"member:{min(people)}"
    named = kind in {Kind.SALE, Kind.ENROLLMENT}
    request = {"count": count, "totalAmount": "9", "amount": "1"}
    content = Content(request, "/x", jsons.raw(request), f"k{count}")
    return Draft(
        kind=kind,
        scope=scope,
        item=f"refund:{count}" if kind is Kind.REFUND else "",
        content=content,
        fingerprint=str(count) if kind in UPSERTS else "same",
        subjects=sorted(people) if named else (),
        decide=(lambda _order: (content, "same")) if kind is Kind.REFUND else None,  # as every refund's has
    )


async def play(folder: Path, story: list) -> None:
    clock = Clock()
    database = Database(folder / "agent.db", folder / "quarantine", Health(clock))
    await database.open()
    try:
        await migrate(database, "outbox", outbox.MIGRATIONS)
        store = Store(database, Sealer(KeyFile(folder / "data.key").load_or_create(None)), clock)
        await store.start()
        known: dict[int, Known] = {}
        for count, step in enumerate(story):
            if step[0] == "settle":
                await settle(store, known, step[1], step[2])
            else:
                await accept(store, known, step, count)
            await compare(database, known)
        await store.stop()
    finally:
        await database.close()


async def accept(store: Store, known: dict[int, Known], step: tuple, count: int) -> None:
    kind, number, people = step
    made = draft(kind, number, people, count)
    operation = (await store.accept(made)).operation
    if operation.seq not in known:
        mine = Known(operation.seq, kind, made.scope, set(made.subjects), operation=operation)
        if kind in UPSERTS:  # a newer upsert gives up an older one that failed
            for other in known.values():
                if other.scope == made.scope and other.status is Status.FAILED:
                    other.status = Status.DISCARDED
        known[operation.seq] = mine
        waiting = waits_for(mine, list(known.values()))
        assert operation.blocked == bool(waiting), (mine, known)
        assert len(operation.waiting_for) == len(waiting)


async def settle(store: Store, known: dict[int, Known], choice: int, status: Status) -> None:
    """Whoever is chosen lends its place to all that it waits for; one of them settles, the others go back."""
    pending = [one for one in known.values() if one.status is Status.PENDING]
    if not pending:
        return
    mine = pending[choice % len(pending)]
    expected = {
        seq
        for seq in chain(mine, list(known.values()))
        if known[seq].status is Status.PENDING and not waits_for(known[seq], list(known.values()))
    }
    claimed = await store.claim_waiting([mine.seq])
    assert {operation.seq for operation in claimed} == expected
    for operation in claimed[1:]:
        await store.put_back(operation, -1)
    for operation in claimed[:1]:
        await store.settle([Settlement(operation, status, Verdict(), settled_at=1)])
        replaced = status is Status.FAILED and is_replaced(known[operation.seq], list(known.values()))
        known[operation.seq].status = Status.DISCARDED if replaced else status


def is_replaced(mine: Known, all_known: list[Known]) -> bool:
    """Whether a newer upsert holds its key; then a refusal is no failure."""
    return mine.kind in UPSERTS and any(
        other.seq > mine.seq and other.kind is mine.kind and other.scope == mine.scope for other in all_known
    )


async def compare(database: Database, known: dict[int, Known]) -> None:
    everybody = list(known.values())
    rule = {one.seq: waits_for(one, everybody) for one in everybody if one.status is Status.PENDING}
    blocked = dict(await database.fetch("SELECT seq, blocked FROM operation WHERE status = 'pending'"))
    assert blocked == {seq: int(bool(waiting)) for seq, waiting in rule.items()}
    rows = await database.fetch("SELECT seq, predecessor FROM waiting ORDER BY seq")
    view = {seq: {before for _, before in pairs} for seq, pairs in itertools.groupby(rows, key=lambda row: row[0])}
    assert {seq: view[seq] for seq in view if seq in rule} == {seq: waits for seq, waits in rule.items() if waits}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_the_view_the_accept_and_the_claim_follow_one_rule(story):
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder), story))
