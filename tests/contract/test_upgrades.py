"""The upgrade by itself, over toy rooms: what is put back and when, what is refused, how long copies stay."""

import datetime as dt
import json
import sqlite3

import pytest

from agent.clock import Clock
from agent.errors import ConfigError
from agent.health import Health
from agent.outbox.completeness import KEPT
from agent.rooms import ROOMS
from agent.storage import Database, Upgrade
from agent.storage import upgrade_record as records
from agent.storage.figures import figures_of
from agent.storage.mark import Mark
from agent.storage.migrations import run, scripts, statements
from tests.support.upgrading import rows

ONE = "CREATE TABLE item (n INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;"
TWO = "ALTER TABLE item ADD COLUMN size INTEGER NOT NULL DEFAULT 0;"
FIGURES = {"highest number": "SELECT max(n) FROM item", "not there yet": "SELECT sum(size) FROM item"}
DAY = dt.timedelta(days=1)


class SetClock(Clock):
    """A wall clock that is set."""

    def __init__(self):
        super().__init__()
        self.days = 0.0

    def now(self):
        return super().now() + self.days * DAY


class Site:
    """A data directory and the versions that are installed there, one after another."""

    def __init__(self, place):
        self.place = place
        self.clock = SetClock()

    def upgrade(self, program, *migrations, **others):
        """A version with these migrations in its room, and with other rooms of one each."""
        rooms = {}
        for room, wanted in {"toy": migrations, **{room: [script] for room, script in others.items()}}.items():
            rooms[room] = self.place / f"{program}-{room}"
            rooms[room].mkdir(exist_ok=True)
            for number, script in enumerate(wanted, 1):
                (rooms[room] / f"{number:04d}_made.sql").write_text(script, encoding="utf-8")
        made = self.place / "till"
        made.mkdir(exist_ok=True)
        return Upgrade(
            made / "upgrades", made / "agent.db", rooms=rooms, kept=FIGURES, program=program, clock=self.clock
        )

    async def start(self, upgrade, *, item=None, gets_ready=True):
        """A start, and what follows from it, up to its end."""
        upgrade.before_opening()
        database = Database(self.place / "till" / "agent.db", self.place / "till" / "quarantine", Health(self.clock))
        await database.open()
        try:
            await upgrade.migrate(database)
            if gets_ready:
                upgrade.ready()
            if item is not None:
                await database.fetch("INSERT INTO item (name) VALUES (?)", [item])
        finally:
            await database.close()

    @property
    def items(self):
        return [name for (name,) in rows(self.place / "till" / "agent.db", "SELECT name FROM item ORDER BY n")]

    @property
    def files(self):
        return sorted(file.name for file in (self.place / "till" / "upgrades").iterdir())

    @property
    def record(self):
        return json.loads((self.place / "till" / "upgrades" / "state.json").read_text())


@pytest.fixture
async def site(tmp_path):
    """With version 1 in it, and an item."""
    made = Site(tmp_path)
    await made.start(made.upgrade("1", ONE), item="first")
    return made


async def test_a_first_start_copies_nothing(site):
    assert site.files == ["state.json"]
    assert (site.record["phase"], site.record["from"], site.record["to"]["schema"]) == ("ready", None, {"toy": 1})


async def test_a_version_with_the_same_schema_is_noted_and_copies_nothing(site):
    await site.start(site.upgrade("1.1", ONE), item="second")
    assert (site.files, site.record["to"]["program"]) == (["state.json"], "1.1")
    await site.start(site.upgrade("1", ONE))
    assert (site.items, site.record["to"]["program"]) == (["first", "second"], "1")


async def test_copies_go_a_week_after_the_upgrade(site):
    newer = site.upgrade("2", ONE, TWO)
    await site.start(newer)
    assert len(site.files) == 2
    site.clock.days = 6.9
    newer.tidy()
    assert len(site.files) == 2
    await site.start(site.upgrade("2.1", ONE, TWO))  # a week of the copy, not of the version
    site.clock.days = 7.1
    again = site.upgrade("2.1", ONE, TWO)
    await site.start(again)
    again.tidy()
    assert site.files == ["state.json"]
    with pytest.raises(ConfigError, match=r"Install version 2\.1, or a newer one, again; nothing was changed"):
        await site.start(site.upgrade("1", ONE))


async def test_a_copy_from_the_future_does_not_stay_for_ever(site):
    newer = site.upgrade("2", ONE, TWO)
    site.clock.days = 3000
    await site.start(newer)
    site.clock.days = 0
    newer.tidy()
    assert site.files == ["state.json"]


async def test_what_was_put_back_is_said_for_a_week(site):
    await site.start(site.upgrade("2", ONE, TWO), gets_ready=False)
    older = site.upgrade("1", ONE)
    await site.start(older, item="second")
    assert "version 2" in older.put_back
    assert (site.items, len(site.files)) == (["first", "second"], 2)
    older.forget()  # a member, say: what was set aside goes at once, and it stays said
    assert site.files == ["state.json"]
    assert older.put_back
    site.clock.days = 8
    older.tidy()
    assert (older.put_back, site.record["phase"], site.record["to"]["program"]) == ("", "ready", "1")


async def test_nothing_goes_while_an_upgrade_is_under_way(site):
    newer = site.upgrade("2", ONE, TWO)
    await site.start(newer, gets_ready=False)
    site.clock.days = 100
    newer.tidy()
    assert len(site.files) == 2
    await site.start(site.upgrade("1", ONE), item="second")
    assert site.items == ["first", "second"]


async def test_an_attempt_that_never_migrated_is_dropped_with_its_copy(site):
    """Or its copy, which lacks what was sold since, might be put back one day."""
    with pytest.raises(ConfigError, match=r"toy/0002_made\.sql failed"):
        await site.start(site.upgrade("2", ONE, "CREATE TABLE item (n);"))
    assert (len(site.files), site.record["phase"]) == (2, "begun")
    older = site.upgrade("1", ONE)
    await site.start(older, item="second")
    assert (site.files, site.record["phase"]) == (["state.json"], "put-back")
    await site.start(site.upgrade("3", ONE, TWO), gets_ready=False)
    await site.start(site.upgrade("1", ONE), item="third")
    assert site.items == ["first", "second", "third"]


@pytest.mark.parametrize("moved", range(4))
async def test_putting_back_goes_on_where_it_was_interrupted(site, moved):
    newer = site.upgrade("2", ONE, TWO)
    await site.start(newer, gets_ready=False)
    till, upgrades = site.place / "till", site.place / "till" / "upgrades"
    (snapshot,) = upgrades.glob("*.db")
    (till / "agent.db-wal").write_bytes(b"of the newer one")
    steps = [
        (till / "agent.db", upgrades / f"newer-{snapshot.name}"),
        (till / "agent.db-wal", upgrades / f"newer-{snapshot.name}-wal"),
        (snapshot, till / "agent.db"),
    ]
    for source, target in steps[:moved]:
        source.rename(target)
    (till / "agent.db-wal").unlink(missing_ok=True) if moved == 0 else None
    older = site.upgrade("1", ONE)
    await site.start(older, item="second")
    assert site.items == ["first", "second"]
    assert "version 2" in older.put_back
    assert rows(upgrades / f"newer-{snapshot.name}", "SELECT count(size) FROM item") == [(1,)]


async def test_a_damaged_database_of_an_upgrade_under_way_is_put_back_and_upgraded_again(site):
    await site.start(site.upgrade("2", ONE, TWO), gets_ready=False)
    (site.place / "till" / "agent.db").write_bytes(b"\xff" * 8192)
    newer = site.upgrade("2", ONE, TWO)
    await site.start(newer, item="second")
    assert (site.items, site.record["phase"], newer.put_back) == (["first", "second"], "ready", "")


async def test_a_damaged_copy_is_not_put_back(site):
    await site.start(site.upgrade("2", ONE, TWO), gets_ready=False)
    (snapshot,) = (site.place / "till" / "upgrades").glob("*.db")
    whole = snapshot.read_bytes()
    snapshot.write_bytes(b"")
    before = site.files
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"is damaged\. Install that version again"):
            await site.start(site.upgrade("1", ONE))
    assert site.files == before
    snapshot.write_bytes(whole)
    await site.start(site.upgrade("1", ONE), item="second")
    assert site.items == ["first", "second"]


async def test_a_copy_that_lacks_what_was_acknowledged_is_not_put_back(site):
    await site.start(site.upgrade("2", ONE, TWO), item="accepted, against the rules", gets_ready=False)
    mark = Mark(site.place / "till" / "agent.db-mark")
    mark.raise_to(2)
    mark.close()
    with pytest.raises(ConfigError, match="something was accepted since"):
        await site.start(site.upgrade("1", ONE))
    assert len(site.items) == 2


async def test_a_copy_that_somebody_took_away_is_not_missed_in_silence(site):
    await site.start(site.upgrade("2", ONE, TWO), gets_ready=False)
    (snapshot,) = (site.place / "till" / "upgrades").glob("*.db")
    snapshot.unlink()
    with pytest.raises(ConfigError, match="Install version 2, or a newer one, again"):
        await site.start(site.upgrade("1", ONE))
    await site.start(site.upgrade("2", ONE, TWO), item="second")
    assert site.items == ["first", "second"]


async def test_a_room_that_this_version_has_not_is_a_newer_schema(site):
    await site.start(site.upgrade("2", ONE, more="CREATE TABLE more (n INTEGER) STRICT;"))
    with pytest.raises(ConfigError, match="more 1, toy 1"):
        await site.start(site.upgrade("1", ONE))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"phase": "begun"}',
        b'{"phase": "gone", "to": {"program": "2", "schema": {"toy": 2}}}',
        b"\xff",
    ],
)
async def test_a_record_that_cannot_be_read_says_nothing(site, content):
    (site.place / "till" / "upgrades" / "state.json").write_bytes(content)
    await site.start(site.upgrade("1", ONE), item="second")
    assert (site.items, site.record["phase"]) == (["first", "second"], "ready")


async def test_a_record_names_no_file_elsewhere(site):
    await site.start(site.upgrade("2", ONE, TWO), gets_ready=False)
    file = site.place / "till" / "upgrades" / "state.json"
    said = json.loads(file.read_text())
    file.write_text(json.dumps({**said, "snapshot": "../agent.db"}))
    assert records.read(file) is None
    file.write_text(json.dumps({**said, "added": "by a later version"}))
    assert records.read(file) is not None


# ---- migrations and figures ------------------------------------------------------------------------------------------


def test_every_shipped_migration_runs_statement_by_statement():
    for folder in ROOMS.values():
        for file in scripts(folder).values():
            whole = file.read_text("utf-8")
            split = list(statements(whole))
            assert "".join(split) == whole.rstrip() or "".join(split) == whole
            words = {each.strip().split()[0].upper() for each in split if not each.strip().startswith("--")}
            assert not words & {"BEGIN", "COMMIT", "END", "ROLLBACK", "PRAGMA", "VACUUM"}, file.name


def test_what_is_to_be_kept_is_answered_by_the_newest_schema(tmp_path):
    connection = sqlite3.connect(tmp_path / "made.db", isolation_level=None)
    run(connection, ROOMS, {})
    found = figures_of(connection, KEPT)
    connection.close()
    assert set(KEPT) <= set(found)
    assert {"rows of operation", "rows of member", "rows of fact", "rows of change"} <= set(found)


def test_a_query_that_is_wrong_is_no_figure_that_is_not_there_yet(tmp_path):
    connection = sqlite3.connect(tmp_path / "made.db", isolation_level=None)
    assert figures_of(connection, {"later": "SELECT n FROM later"}) == {}
    with pytest.raises(sqlite3.OperationalError, match="syntax"):
        figures_of(connection, {"wrong": "SELECT FROM"})
    connection.close()


async def test_what_a_migration_says_it_changes_may_change(site):
    said = "-- changes: rows of item, highest number\nDELETE FROM item;"
    with pytest.raises(ConfigError, match="rows of item: 1 before, 0 after"):
        await site.start(site.upgrade("2", ONE, "DELETE FROM item;"))
    await site.start(site.upgrade("3", ONE, said))
    assert site.items == []
