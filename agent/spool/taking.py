"""One file through its adapter into the intake: read in a thread, a hundred items at a time, cashiers first."""

import asyncio
import os
from collections.abc import Callable, Iterator
from itertools import islice
from typing import BinaryIO

from agent import logs
from agent.adapters import registry
from agent.adapters.base import Item, Skipped
from agent.adapters.json_documents import too_large
from agent.clock import Clock
from agent.importing import Importing, Taken
from agent.spool.places import Entry, Places
from agent.spool.report import Report

BATCH = 100
ASIDE_S = 0.2
ASIDE_LIMIT_S = 10.0  # a busy store's documents are taken too


class Taking:
    """Takes the files of one folder. `busy` tells whether cashiers are about."""

    def __init__(
        self, adapter: str, places: Places, importing: Importing, clock: Clock, busy: Callable[[], bool]
    ) -> None:
        self._adapter = adapter
        self._places = places
        self._importing = importing
        self._clock = clock
        self._busy = busy
        self._log = logs.get()

    async def take(self, entry: Entry) -> Report | None:
        """Take a file in; None where it is no longer the one that was seen.

        Raises OSError where it cannot be read, and what `Importing.take` raises where nothing can be stored: then it is
        to be taken again, from its beginning.
        """
        name = os.fsencode(entry.name).decode("utf-8", "replace")
        report = Report(name, self._adapter)
        if (fault := await asyncio.to_thread(self._fault_of, entry)) is not None:
            report.add([Taken(fault.place, "", skipped=fault)])
            return report
        source = await asyncio.to_thread(self._places.open, entry)
        if source is None:
            return None
        try:
            await self._take_all(source, name, report)
        finally:
            await asyncio.to_thread(source.close)
        return report

    def _fault_of(self, entry: Entry) -> Skipped | None:
        """What is wrong with a file before it is read."""
        if entry.stamp.size == 0:
            return Skipped("empty", "The file is empty.", "file", fault=True)
        if entry.stamp.size > self._importing.max_bytes and not registry.adapter(self._adapter).streams:
            return Skipped("too-large", too_large(self._importing.max_bytes), "file", fault=True)
        return None

    async def _take_all(self, source: BinaryIO, name: str, report: Report) -> None:
        origin = {"adapter": self._adapter, "file": name}
        items = await asyncio.to_thread(self._importing.items, self._adapter, source)
        while batch := await asyncio.to_thread(self._next, items):
            await self._let_pass()
            report.add(await self._importing.take(batch, origin, master_data=True))  # the folder is the operator's

    def _next(self, items: Iterator[Item]) -> list[Item]:
        """The next items; what an adapter breaks on is a fault of the file's, lest it be tried for ever."""
        batch: list[Item] = []
        try:
            batch.extend(islice(items, BATCH))
        except OSError:
            raise
        except Exception:  # noqa: BLE001 - it is told, and kept for a person
            self._log.exception("an adapter failed", kind=self._adapter)
            reason = "The agent failed on what comes here; its log says where."
            batch.append(Skipped("internal", reason, "file", fault=True))
        return batch

    async def _let_pass(self) -> None:
        """Stand aside while cashiers are about."""
        aside_until = self._clock.monotonic() + ASIDE_LIMIT_S
        while self._busy() and self._clock.monotonic() < aside_until:
            await self._clock.sleep(ASIDE_S)
