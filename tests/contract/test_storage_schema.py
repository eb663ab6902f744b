"""The tables: schema.sql is the sum of the migrations, its checks mirror the Python side, newer ones are refused."""

import sqlite3
from pathlib import Path

import pytest

import agent
from agent.clock import Clock
from agent.delivery import Kind
from agent.errors import ConfigError
from agent.health import Health
from agent.outbox.state import PREDECESSORS, Status
from agent.storage import Database
from tests.support.agents import running

PACKAGE = Path(agent.__file__).parent
SCHEMAS = sorted(PACKAGE.glob("*/schema.sql"))
OUTBOX = PACKAGE / "outbox" / "schema.sql"


def build(*scripts):
    connection = sqlite3.connect(":memory:")
    for script in scripts:
        connection.executescript(script.read_text("utf-8"))
    return connection


def described(connection):
    sql = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name"
    return [(*row[:3], " ".join((row[3] or "").split())) for row in connection.execute(sql)]


def rows_of(connection):
    tables = [name for kind, name, _, _ in described(connection) if kind == "table"]
    return {name: sorted(connection.execute(f"SELECT * FROM {name}")) for name in tables}  # noqa: S608


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: path.parent.name)
def test_the_schema_is_the_sum_of_its_migrations(schema):
    migrations = sorted((schema.parent / "migrations").glob("*.sql"), key=lambda path: int(path.name.split("_")[0]))
    assert migrations
    whole, summed = build(schema), build(*migrations)
    assert described(whole) == described(summed)
    assert rows_of(whole) == rows_of(summed)
    whole.close()
    summed.close()


def test_there_is_a_schema_to_look_at():
    assert OUTBOX in SCHEMAS


def insert(connection, **given):
    settled = given.get("status", "pending") != "pending"
    row = {
        "id": f"op_{given}",
        "kind": "sale",
        "status": "pending",
        "scope": bytes(16),
        "item": b"",
        "fingerprint": bytes(16),
        "subjects": "[]",
        "accepted_at": 1,
        "settled_at": 1 if settled else None,
        "current": 0 if given.get("status") == "discarded" else 1,
        "key_id": 1,
        "content": b"x",
        **given,
    }
    sql = f"INSERT INTO operation ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"  # noqa: S608
    connection.execute(sql, list(row.values()))
    connection.rollback()


def test_every_kind_and_status_of_the_code_is_taken_and_no_other():
    connection = build(OUTBOX)
    for kind in Kind:
        insert(connection, kind=kind.value)
    for status in Status:
        insert(connection, status=status.value)
    for wrong in (
        {"kind": "sales"},
        {"kind": ""},
        {"status": "open", "settled_at": 1},
        {"status": "", "settled_at": 1},
        {"status": "pending", "settled_at": 1},
        {"status": "failed", "settled_at": None},
        {"status": "discarded", "current": 1},
        {"status": "failed", "content": None},
        {"status": "pending", "content": None},
        {"status": "succeeded", "claimed": 1, "maybe_sent": 1},
        {"status": "succeeded", "blocked": 1},
        {"claimed": 1, "maybe_sent": 0},
        {"scope": b"plain"},
        {"item": b"plain"},
        {"subjects": "plain"},
        {"generation": 0},
        {"attempts": -1},
        {"outcome": b"x"},
    ):
        with pytest.raises(sqlite3.IntegrityError):
            insert(connection, **wrong)
    connection.close()


def test_what_follows_what_is_the_same_in_tables_and_code():
    connection = build(OUTBOX)
    assert set(connection.execute("SELECT kind, predecessor FROM dependence")) == {
        (later.value, earlier.value) for later, earliers in PREDECESSORS.items() for earlier in earliers
    }
    connection.close()


def dump(path):
    connection = sqlite3.connect(path)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


async def test_a_newer_database_is_refused_and_left_as_it_is(tmp_path):
    async with running(tmp_path) as register:
        sale = await register.sell()
    database = tmp_path / "agent.db"
    connection = sqlite3.connect(database)
    connection.execute("INSERT INTO migration (room, number, name) VALUES ('outbox', 999, '0999_future.sql')")
    connection.commit()
    connection.close()
    before = dump(database)
    for _ in range(2):
        with pytest.raises(ConfigError, match="newer version") as caught:
            async with running(tmp_path):
                pass
        assert "999" in str(caught.value)
    assert dump(database) == before
    connection = sqlite3.connect(database)
    connection.execute("DELETE FROM migration WHERE number = 999")
    connection.commit()
    connection.close()
    async with running(tmp_path) as register:
        assert (await register.sell()).json["id"] == sale.json["id"]


async def test_the_connection_is_durable_and_exclusive(tmp_path):
    database = Database(tmp_path / "agent.db", tmp_path / "quarantine", Health(Clock()))
    await database.open()
    try:
        assert await database.fetch("PRAGMA journal_mode") == [("wal",)]
        assert await database.fetch("PRAGMA synchronous") == [(2,)]
        assert await database.fetch("PRAGMA locking_mode") == [("exclusive",)]
        assert await database.fetch("PRAGMA secure_delete") == [(1,)]
    finally:
        await database.close()


async def test_nobody_else_reads_or_writes_a_running_agents_database(tmp_path):
    async with running(tmp_path) as register:
        await register.sell()
        header = (tmp_path / "agent.db").read_bytes()[18:20]
        assert header == b"\x02\x02"  # write-ahead log
        assert (tmp_path / "agent.db-wal").exists()
        assert not (tmp_path / "agent.db-shm").exists()
        other = sqlite3.connect(tmp_path / "agent.db", timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("SELECT count(*) FROM operation")
        other.close()
        assert (await register.sell("2")).status == 202


async def test_a_database_that_another_program_has_locked_is_named(tmp_path):
    async with running(tmp_path) as register:
        sale = await register.sell()
    other = sqlite3.connect(tmp_path / "agent.db")
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(ConfigError, match="locked by another program") as caught:
            async with running(tmp_path):
                pass
        assert "agent.db" in str(caught.value)
    finally:
        other.rollback()
        other.close()
    assert not (tmp_path / "quarantine").exists()
    async with running(tmp_path) as register:
        assert (await register.operation(sale.json["id"]))["status"] == "pending"


BEFORE_CATALOGS = (
    *(f"DROP TRIGGER catalog_{name}" for name in ("discarded", "stripped", "removed")),
    "DROP TRIGGER rescued_removed",
    "DROP TABLE rescued",
    "DROP TABLE catalog_row",
    "DELETE FROM migration WHERE room = 'outbox' AND number > 5",
)


async def test_an_older_database_with_sales_in_it_is_brought_up_to_date(tmp_path):
    async with running(tmp_path) as register:
        before = {name: (await register.sell(name)).json["id"] for name in ("1", "2")}
        refund = {"externalOrderId": "1", "refundId": "r1", "amount": 5}
        refunded = (await register.call("POST", "/v1/refunds", refund)).json["id"]
    connection = sqlite3.connect(tmp_path / "agent.db")
    for statement in BEFORE_CATALOGS:
        connection.execute(statement)
    connection.commit()
    migrations = sorted((OUTBOX.parent / "migrations").glob("*.sql"))[:5]
    older = build(*migrations)
    assert set(described(older)) <= set(described(connection))
    assert not [name for _, name, _, _ in described(connection) if name.startswith("catalog_")]
    older.close()
    connection.close()
    catalog = {"source": "erp", "brands": [{"externalId": "1", "name": "Acme"}]}
    async with running(tmp_path) as register:
        for name, operation_id in before.items():
            again = await register.sell(name)
            assert (again.json["id"], again.json["replayed"]) == (operation_id, True)
        assert (await register.operation(refunded))["status"] == "pending"
        assert (await register.call("POST", "/v1/catalogs", catalog, scope="operator")).status == 202
        assert (await register.sell("3")).status == 202
    connection = sqlite3.connect(tmp_path / "agent.db")
    assert connection.execute("SELECT count(*) FROM catalog_row").fetchall() == [(1,)]
    connection.close()
