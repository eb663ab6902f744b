"""A newer version takes over a till's queue, or never gets ready and the version before goes on: with real processes of
two versions.
"""

import asyncio
import contextlib
import json
import os
import signal
import stat
import subprocess
import sys

import aiohttp
import pytest

import agent
from agent.rooms import ROOMS
from agent.storage.migrations import newest
from tests.support.agents import AgentProcess, launch_fresh, strict_flash
from tests.support.damage import break_leaves
from tests.support.tills import Till
from tests.support.upgrading import NEWER, OUTBOX, copy_of, launch_from, newer_copy, queue, refusal, rows
from tests.support.weakened import Change
from tests.support.witness import Witness

pytestmark = [pytest.mark.e2e]

NOWHERE = "http://127.0.0.1:9/api/v2"
QUEUED = 60
OLDER = agent.__version__
SCHEMA = newest(ROOMS)
CRASH = Change(
    "agent/app/agent.py",
    "            self._upgrade.ready()\n",
    '            raise RuntimeError("a fault of this version")\n',
)
BEFORE_READY = pytest.mark.parametrize("how", ["crash", "killed"])


@pytest.fixture
async def queued(tmp_path):
    """A till's data directory with a queue, and the witness of what was acknowledged."""
    with contextlib.closing(Witness(tmp_path / "witness.jsonl")) as witness:
        for operation, asked in await queue(tmp_path / "till", QUEUED):
            witness.saw(operation, asked)
        yield tmp_path / "till", witness


@pytest.fixture
def newer(tmp_path):
    return launch_from(newer_copy(tmp_path / "newer"))


@contextlib.contextmanager
def process(data_dir, launch, base_url=NOWHERE):
    made = AgentProcess(data_dir, base_url, launch=launch)
    try:
        yield made
    finally:
        made.kill()


@contextlib.asynccontextmanager
async def till(data_dir, launch, base_url=NOWHERE, witness=None):
    with process(data_dir, launch, base_url) as started:
        await asyncio.to_thread(started.start)
        async with aiohttp.ClientSession() as session:
            yield Till(started, session, witness)


async def conditions(asked):
    return {each["code"]: each["text"] for each in (await asked.get("/v1/status"))["conditions"]}


def record(data_dir):
    return json.loads((data_dir / "upgrades" / "state.json").read_text())


def check(data_dir, folder=None):
    """`upgrade check` of this version, or of the one in `folder`."""
    environment = {**os.environ} if folder is None else {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "agent", "upgrade", "check", "--data-dir", str(data_dir)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


async def sell(asked, order):
    status, operation = await asked.post(
        "/v1/sales", {"externalOrderId": order, "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 20}
    )
    assert status == 202
    return operation["id"]


async def settle_all(data_dir, launch, witness):
    """Once Flash is there every acknowledged operation takes effect once, in the version that is started."""
    with strict_flash() as flash:
        async with till(data_dir, launch, flash.base_url) as asked:
            await asked.settled(flash)
            shown = await asked.operations()
            verdict = witness.judge(flash, shown)
            assert (verdict.lost, verdict.doubled, verdict.others) == ([], [], [])
            assert {each["status"] for each in shown} == {"succeeded"}
            assert {each["id"] for each in shown} == set(witness.acknowledged)


async def test_a_newer_version_takes_the_queue_over_and_there_is_no_way_back(tmp_path, queued, newer):
    data_dir, witness = queued
    assert record(data_dir)["to"] == {"program": OLDER, "schema": SCHEMA}
    async with till(data_dir, newer, witness=witness) as asked:
        assert {each["id"] for each in await asked.operations()} == set(witness.acknowledged)
        assert "upgrade-rolled-back" not in await conditions(asked)
        await sell(asked, "sold-by-the-newer-one")
        said = record(data_dir)
        assert (said["phase"], said["from"]["program"], said["to"]["program"]) == ("ready", OLDER, NEWER)
        assert said["to"]["schema"] == {room: number + 1 for room, number in SCHEMA.items()}
        assert check(data_dir)[0] == 1
        assert check(data_dir, tmp_path / "newer")[0] == 0
    copies = [file for file in (data_dir / "upgrades").iterdir() if file.name != "state.json"]
    assert [file.name for file in copies] == [said["snapshot"]]
    assert stat.S_IMODE(copies[0].stat().st_mode) == 0o600 or os.name != "posix"
    assert rows(copies[0], "SELECT count(*) FROM operation") == [(QUEUED,)]
    assert rows(data_dir / "agent.db", "SELECT count(*), sum(proof = seq) FROM operation") == [(QUEUED + 1, QUEUED)]
    before = (data_dir / "agent.db").read_bytes()
    for _ in range(2):
        with process(data_dir, launch_fresh) as older:
            text = refusal(older)
            assert f"Install version {NEWER}, or a newer one, again; nothing was changed" in text
            assert "Traceback" not in text
            assert older.process.wait() == 2
    assert (data_dir / "agent.db").read_bytes() == before
    assert "newer version" in check(data_dir)[1]
    await settle_all(data_dir, newer, witness)


@BEFORE_READY
async def test_a_newer_version_that_never_gets_ready_leaves_the_till_to_the_one_before(tmp_path, queued, newer, how):
    data_dir, witness = queued
    failing = launch_from(newer_copy(tmp_path / "failing", changes=[CRASH]))
    with strict_flash() as flash, process(data_dir, failing, flash.base_url) as ended:
        if how == "crash":
            refusal(ended)
        else:
            halting = Change(CRASH.file, CRASH.old, "            __import__('os').kill(__import__('os').getpid(), 9)\n")
            ended.launch = launch_from(newer_copy(tmp_path / "killed", changes=[halting]))
            refusal(ended)
            assert ended.process.wait() == -signal.SIGKILL
        assert not flash.requests, "it sent something before it was ready"
    assert record(data_dir)["phase"] == "begun"
    if how == "killed":
        assert rows(copy_of(data_dir, tmp_path / "look") / "agent.db", "SELECT max(number) FROM migration") == [
            (SCHEMA["outbox"] + 1,)
        ]
    assert check(data_dir)[0] == 0
    assert f"puts back what was there before version {NEWER}" in check(data_dir)[1]
    for _ in range(2):  # it stays said
        async with till(data_dir, launch_fresh, witness=witness) as asked:
            text = (await conditions(asked))["upgrade-rolled-back"]
            assert f"version {NEWER}" in text
            assert {each["id"] for each in await asked.operations()} == set(witness.acknowledged)
            await sell(asked, f"after-{len(witness.acknowledged)}")
    assert record(data_dir)["phase"] == "put-back"
    assert rows(data_dir / "agent.db", "SELECT max(number) FROM migration WHERE room = 'outbox'") == [
        (SCHEMA["outbox"],)
    ]
    async with till(data_dir, newer, witness=witness) as asked:  # and the next attempt is like a first one
        assert "upgrade-rolled-back" not in await conditions(asked)
        await sell(asked, "at-last")
    assert record(data_dir)["phase"] == "ready"
    await settle_all(data_dir, newer, witness)


async def test_who_asks_to_be_forgotten_is_in_no_copy(tmp_path, queued, newer):
    data_dir, _ = queued
    async with till(data_dir, newer) as asked:
        (copy,) = (data_dir / "upgrades").glob("*.db")
        assert rows(copy, "SELECT count(*) FROM operation") == [(QUEUED,)]
        url = f"http://127.0.0.1:{asked.agent.port}/v1/members/forget"
        headers = {"Authorization": f"Bearer {(data_dir / 'operator.token').read_text()}"}
        async with asked.session.post(url, json={"email": "m1@example.com"}, headers=headers) as answer:
            assert answer.status == 200
        assert [file.name for file in (data_dir / "upgrades").iterdir()] == ["state.json"]
    assert (record(data_dir)["phase"], record(data_dir)["snapshot"]) == ("ready", None)


async def test_a_newer_version_that_is_started_again_goes_on_with_what_it_migrated(tmp_path, queued, newer):
    data_dir, witness = queued
    with process(data_dir, launch_from(newer_copy(tmp_path / "failing", changes=[CRASH]))) as ended:
        refusal(ended)
    begun = record(data_dir)
    async with till(data_dir, newer, witness=witness) as asked:
        assert {each["id"] for each in await asked.operations()} == set(witness.acknowledged)
    assert record(data_dir)["snapshot"] == begun["snapshot"]
    await settle_all(data_dir, newer, witness)


async def test_a_version_after_the_one_that_failed_begins_where_that_one_began(tmp_path, queued):
    data_dir, witness = queued
    with process(data_dir, launch_from(newer_copy(tmp_path / "failing", changes=[CRASH]))) as ended:
        refusal(ended)
    later = newer_copy(tmp_path / "later", version="0.3.0", members="", changes=[CRASH])
    script = f"{SCHEMA['outbox'] + 2:04d}_later.sql"
    (later / "agent/outbox/migrations" / script).write_text("CREATE TABLE later (seq INTEGER PRIMARY KEY) STRICT;")
    with process(data_dir, launch_from(later)) as ended:
        refusal(ended)
    async with till(data_dir, launch_fresh, witness=witness) as asked:
        assert "version 0.3.0" in (await conditions(asked))["upgrade-rolled-back"]
        assert {each["id"] for each in await asked.operations()} == set(witness.acknowledged)
    await settle_all(data_dir, launch_fresh, witness)


@pytest.mark.parametrize("starts_again", [False, True])
async def test_a_damaged_database_and_a_newer_version_that_never_gets_ready(tmp_path, queued, starts_again):
    """The newer version makes a database anew, of which the one before could read nothing: it makes its own."""
    data_dir, _ = queued
    assert break_leaves(data_dir / "agent.db", 1)
    async with till(copy_of(data_dir, tmp_path / "untouched"), launch_fresh) as asked:
        readable = {each["id"] for each in await asked.operations()}
    assert 0 < len(readable) < QUEUED
    with process(data_dir, launch_from(newer_copy(tmp_path / "failing", changes=[CRASH]))) as ended:
        for _ in range(1 + starts_again):
            refusal(ended)
    assert (record(data_dir)["phase"], record(data_dir)["anew"]) == ("begun", True)
    async with till(data_dir, launch_fresh) as asked:
        said = await conditions(asked)
        assert {"upgrade-rolled-back", "database-quarantined"} <= set(said)
        assert {each["id"] for each in await asked.operations()} == readable
        readable.add(await sell(asked, "after"))
    assert len(list((data_dir / "quarantine").iterdir())) == 1
    async with till(data_dir, launch_from(newer_copy(tmp_path / "newer"))) as asked:
        assert {each["id"] for each in await asked.operations()} == readable
    assert record(data_dir)["phase"] == "ready"


LOSSY = OUTBOX + "DELETE FROM operation WHERE kind = 'refund' AND status = 'pending' AND seq > 65;\n"  # noqa: S608
SWAPPED = "UPDATE operation SET content = x'00' WHERE seq = 3;\n"
CRASHING = "CREATE TABLE fine (a INTEGER) STRICT;\nINSERT INTO nowhere VALUES (1);\n"


@pytest.mark.parametrize(
    ("scripts", "words"),
    [
        (
            {"outbox": LOSSY},
            [f"rows of operation: {QUEUED} before, {QUEUED - 1} after", "operations: refund/pending/6/"],
        ),
        ({"outbox": SWAPPED}, ["contents: 60/"]),
        ({"outbox": "DROP TABLE catalog_row;\n"}, ["rows of catalog_row: 0 before, gone after"]),
        ({"members": CRASHING}, [f"members/{SCHEMA['members'] + 1:04d}_proof.sql failed: no such table: nowhere"]),
    ],
    ids=["lossy", "swapped", "dropped", "crashing"],
)
async def test_a_migration_that_loses_something_or_fails_changes_nothing(tmp_path, queued, scripts, words):
    data_dir, witness = queued
    before = rows(data_dir / "agent.db", "SELECT * FROM operation ORDER BY seq")
    with process(data_dir, launch_from(newer_copy(tmp_path / "faulty", **scripts))) as faulty:
        for _ in range(2):
            text = refusal(faulty)
            assert all(word in text for word in words), text
            assert f"cannot be upgraded for version {NEWER}" in text
            assert f"Nothing was changed; version {OLDER} starts as before" in text
            assert "Traceback" not in text
            assert faulty.process.wait() == 2
    assert rows(data_dir / "agent.db", "SELECT * FROM operation ORDER BY seq") == before
    assert rows(data_dir / "agent.db", "SELECT max(number) FROM migration WHERE room = 'outbox'") == [
        (SCHEMA["outbox"],)
    ]
    async with till(data_dir, launch_fresh, witness=witness) as asked:
        assert NEWER in (await conditions(asked))["upgrade-rolled-back"]
        await sell(asked, "after")
    assert [file.name for file in (data_dir / "upgrades").iterdir()] == ["state.json"]
    await settle_all(data_dir, launch_fresh, witness)


async def test_a_migration_may_say_what_it_changes(tmp_path, queued):
    data_dir, witness = queued
    said = "-- Another way to keep rows.\n-- changes: rows of catalog_row, refused rows\nDROP TABLE catalog_row;\n"
    again = "CREATE TABLE catalog_row (row BLOB, content BLOB, seq INTEGER, refused INTEGER) STRICT;\n"
    async with till(
        data_dir, launch_from(newer_copy(tmp_path / "newer", outbox=said + again)), witness=witness
    ) as asked:
        assert {each["id"] for each in await asked.operations()} == set(witness.acknowledged)


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 8 MiB, and how to make that so many."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    yield place, lambda mib: subprocess.run(["mount", "-o", f"remount,size={mib}m", str(place)], check=True)
    subprocess.run(["umount", "-l", str(place)], check=True)


async def test_without_room_for_a_copy_nothing_begins(tmp_path, queued, newer, small_disk):
    data_dir, witness = queued
    place, grow = small_disk
    small = copy_of(data_dir, place / "till")
    before = {file.name: file.read_bytes() for file in small.iterdir() if file.is_file()}
    with process(small, newer) as refused:
        text = refusal(refused)
    assert "It needs 17 MiB free on the disk of" in text
    assert f"Free space and start again. Nothing was changed; version {OLDER} starts as before" in text
    assert {name: (small / name).read_bytes() for name in before} == before
    async with till(small, launch_fresh, witness=witness) as asked:
        assert {each["id"] for each in await asked.operations()} == set(witness.acknowledged)
        await sell(asked, "with-little-room")
    grow(32)
    await settle_all(small, newer, witness)


async def test_putting_back_needs_no_room(tmp_path, queued, newer, small_disk):
    data_dir, witness = queued
    place, grow = small_disk
    grow(32)
    full = copy_of(data_dir, place / "till")
    with process(full, launch_from(newer_copy(tmp_path / "failing", changes=[CRASH]))) as ended:
        refusal(ended)
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"\0" * 4096) == 4096:
            pass
    for _ in range(2):
        async with till(full, launch_fresh) as asked:
            assert NEWER in (await conditions(asked))["upgrade-rolled-back"]
            assert {each["id"] for each in await asked.operations()} == set(witness.acknowledged)
    ballast.unlink()
    async with till(full, launch_fresh, witness=witness) as asked:
        await sell(asked, "with-room-again")
    await settle_all(full, newer, witness)
