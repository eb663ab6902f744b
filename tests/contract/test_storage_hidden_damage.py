"""Damage behind which single operations vanish: nothing acknowledged waits for ever, or cannot be sent again."""

import asyncio
import contextlib
import sqlite3

from tests.support.agents import running, settings, strict_flash
from tests.support.damage import PAGE, overwrite

COUNT = 60


async def fill(tmp_path):
    """Sales under keys of the register's own, in a database that was closed in order."""
    async with running(tmp_path) as register:
        answers = await asyncio.gather(*(sell(register, number) for number in range(COUNT)))
        assert {answer.status for answer in answers} == {202}


def sell(register, number):
    body = {"externalOrderId": f"o{number}", "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 9}
    return register.call("POST", "/v1/sales", body, Idempotency_Key=f"k{number}")


def roots(database):
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return dict(connection.execute("SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0"))


def last_leaf(database, table):
    """The last leaf page of a table loses its meaning."""
    raw = database.read_bytes()
    root = (roots(database)[table] - 1) * PAGE
    assert raw[root] == 0x05, "the table has several pages"
    page = int.from_bytes(raw[root + 8 : root + 12], "big")
    overwrite(database, (page - 1) * PAGE, b"\xff" * 64)


def flip(database, index, text):
    """One bit of what stands last in the first page of an index."""
    page = (roots(database)[index] - 1) * PAGE
    at = database.read_bytes().index(text, page, page + PAGE) + len(text) - 1
    overwrite(database, at, bytes([database.read_bytes()[at] ^ 1]))


async def test_a_lost_sale_can_be_sent_again_under_its_own_key(tmp_path):
    """The keys lie in a table of their own, and are read where the sales are not."""
    await fill(tmp_path)
    last_leaf(tmp_path / "agent.db", "operation")
    async with running(tmp_path) as register:
        first_new = (await register.sell("new")).json["id"]  # it gets the number of one that was lost
        answers = [await sell(register, number) for number in range(COUNT)]
        assert {answer.status for answer in answers} == {202}
        lost = [answer for answer in answers if not answer.json["replayed"]]
        assert 0 < len(lost) < COUNT
        assert first_new not in {answer.json["id"] for answer in answers}


async def test_a_sale_that_an_index_hides_is_sent_all_the_same(tmp_path):
    """The relay finds what is ready by an index: one that has another kind there hides the sale, and nothing fails."""
    await fill(tmp_path)
    flip(tmp_path / "agent.db", "operation_ready", b"sale")
    with strict_flash() as flash:
        async with running(tmp_path, settings(flash.base_url)) as register:
            assert "database-quarantined" in await register.conditions()
            everybody = {f"o{number}": 1 for number in range(COUNT)}
            assert await asyncio.to_thread(flash.wait_for, lambda seen: seen.awards == everybody, 15)
