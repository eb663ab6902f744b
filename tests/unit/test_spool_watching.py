"""The watch of a spool folder: tells of changes, comes back after it ended, and ends when it is told to."""

import asyncio
from pathlib import Path

from agent.spool.watching import Watch
from tests.support.agents import until


async def test_it_tells_of_a_file_and_stops(tmp_path: Path) -> None:
    happened = asyncio.Event()
    watch = Watch(0.1, happened.set)
    assert watch.see([tmp_path], (1, 1))
    assert not watch.see([tmp_path], (1, 1))
    number = 0

    async def told() -> bool:  # a file written before the watch has begun is not told
        nonlocal number
        number += 1
        (tmp_path / f"{number}.xml").write_bytes(b"x")
        return happened.is_set()

    await until(told)
    assert watch._thread is not None
    await watch.stop()
    assert not watch._thread.is_alive()


async def test_what_cannot_be_watched_is_tried_again_and_is_no_news(tmp_path: Path) -> None:
    happened = asyncio.Event()
    watch = Watch(0.1, happened.set)
    missing = tmp_path / "missing"
    assert watch.see([missing], (1, 1))

    async def ended() -> bool:
        return watch._thread is not None and not watch._thread.is_alive()

    await until(ended)
    missing.mkdir()
    assert not watch.see([missing], (1, 1))  # tried again, and the folder is the same as before

    async def told() -> bool:
        (missing / "a.xml").write_bytes(b"x")
        return happened.is_set()

    await until(told)
    assert watch.see([tmp_path], (2, 2))
    await watch.stop()
