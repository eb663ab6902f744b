"""What the agent relies on in aiosqlite, its one private name included: these fail when a release changes it."""

import asyncio
import sqlite3
import threading

import pytest

from agent.storage.connection import Connection


@pytest.fixture
async def connection(tmp_path):
    opened = await Connection.open(tmp_path / "some.db", timeout_s=1.0, cached_statements=16)
    yield opened
    await opened.close()


async def test_a_visit_is_a_function_of_the_sqlite3_connection_in_the_thread_of_the_statements(connection):
    threads = []

    def call(inner):
        assert type(inner) is sqlite3.Connection
        threads.append(threading.current_thread())
        inner.execute("CREATE TABLE visited (number INTEGER)")
        inner.execute("INSERT INTO visited VALUES (1), (2)")
        assert not inner.in_transaction, "a statement commits by itself"
        inner.create_function("thread", 0, lambda: threads.append(threading.current_thread()))
        return "what it returns"

    assert await connection.visit(call) == "what it returns"
    assert await connection.fetch("SELECT number, thread() FROM visited WHERE number > ?", [1]) == [(2, None)]
    assert threads[0] is threads[1] is not threading.current_thread()


def test_an_opening_that_is_cancelled_leaves_no_thread_that_answers_to_a_closed_loop(tmp_path, monkeypatch):
    complaints = []
    monkeypatch.setattr(threading, "excepthook", complaints.append)

    async def interrupted():
        asyncio.current_task().cancel()
        await Connection.open(tmp_path / "some.db", timeout_s=1.0, cached_statements=16)

    before = set(threading.enumerate())
    for _ in range(20):
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(interrupted())
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()
    assert not complaints


async def test_a_visit_raises_what_its_function_raises(connection):
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await connection.visit(lambda inner: inner.execute("SELECT 1 FROM nowhere"))
    with pytest.raises(LookupError):
        await connection.visit(lambda _: {}["missing"])


async def test_visits_statements_and_scripts_come_in_the_order_of_asking(connection):
    await connection.run_script("BEGIN; CREATE TABLE seen (number INTEGER PRIMARY KEY, what TEXT); COMMIT;")
    add = "INSERT INTO seen (what) VALUES (?)"
    await asyncio.gather(
        connection.fetch(add, ["statement"]),
        connection.visit(lambda inner: inner.execute(add, ["visit"])),
        connection.run_script("BEGIN; INSERT INTO seen (what) VALUES ('script'); COMMIT;"),
        connection.visit(lambda inner: inner.execute(add, ["visit"])),
        connection.fetch(add, ["statement"]),
    )
    found = await connection.fetch("SELECT what FROM seen ORDER BY number")
    assert [what for (what,) in found] == ["statement", "visit", "script", "visit", "statement"]


async def test_a_visit_whose_caller_is_gone_is_made_all_the_same(connection):
    entered, leave = threading.Event(), threading.Event()

    def call(inner):
        entered.set()
        assert leave.wait(10)
        inner.execute("CREATE TABLE made (number INTEGER)")

    caller = asyncio.create_task(connection.visit(call))
    await asyncio.to_thread(entered.wait, 10)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    leave.set()
    assert await connection.fetch("SELECT name FROM sqlite_master") == [("made",)]


async def test_a_file_that_cannot_be_opened_leaves_no_thread(tmp_path):
    before = set(threading.enumerate())
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        await Connection.open(tmp_path / "missing" / "some.db", timeout_s=1.0, cached_statements=16)
    for thread in set(threading.enumerate()) - before:
        await asyncio.to_thread(thread.join, 10)
        assert not thread.is_alive()
