"""One till: its data directory and the agent's lives in it, one after another."""

import asyncio
import contextlib
import contextvars
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from agent.app import Agent
from agent.clock import Clock
from agent.config import Settings
from agent.flash.client import FlashClient
from agent.outbox.changes import Change
from agent.service.service import Service
from agent.storage import Database
from tests.simulation.disk import Files, SimulatedConnection
from tests.simulation.flash import STORE
from tests.simulation.loop import STARTED_AT, Life, VirtualLoop
from tests.simulation.network import ATTEMPT_LIMIT_S, EPOCH, Network, Wire

EVER_S = 10.0  # a start takes less


class ConnectionLostError(Exception):
    """The register's connection to its agent is gone, or was never made."""


class SimulatedClock(Clock):
    """Virtual; the wall clock is as wrong as the till's."""

    def __init__(self, loop: VirtualLoop, wrong_by_s: Callable[[], float]) -> None:
        self._loop = loop
        self._wrong_by_s = wrong_by_s
        self._steady_from_ms = self._ms()
        self._started_at = loop.now

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self._loop.now - STARTED_AT + self._wrong_by_s())

    def today(self) -> str:
        return self.now().date().isoformat()

    def monotonic(self) -> float:
        return self._loop.now

    def steady_ms(self) -> int:
        return self._steady_from_ms + int((self._loop.now - self._started_at) * 1000)

    def _ms(self) -> int:
        return int(self.now().timestamp() * 1000)


class SimulatedAgent(Agent):
    """The shipped composition; its network, its disk's thread and its listening sockets are the simulation's."""

    service: Service

    def __init__(self, settings: Settings, data_dir: Path, clock: Clock, wire: Wire) -> None:
        super().__init__(settings, data_dir, clock)
        self._wire = wire
        self.database: Database | None = None

    def _take_port(self) -> list[Any]:
        return []

    def _database(self) -> Database:
        place = self.data_dir
        self.database = Database(place.database, place.quarantine, self._health, connection=SimulatedConnection)
        return self.database

    def _flash_client(self) -> FlashClient:
        client = super()._flash_client()
        client._transport = self._wire  # type: ignore[assignment]
        return client

    async def _serve(self, service: Service, *_others: Any) -> None:
        self.service = service


class Till:
    """A till that can be switched off, killed and started again."""

    def __init__(
        self, name: str, network: Network, folder: Path, settings: Callable[[str], Settings], key: str
    ) -> None:
        self.name = name
        self.key = key
        self.lives = 0
        self.clock_wrong_by_s = 0.0
        self.jumped_at: list[float] = []
        self.ended_at: list[float] = []
        self.hears: Callable[[Sequence[Change]], None] = lambda _changes: None
        self._network = network
        self._folder = folder
        self._settings = settings
        self._life: Life | None = None
        self._all_lives: list[Life] = []
        self._agent: SimulatedAgent | None = None
        self._requests: dict[asyncio.Future[Any], None] = {}  # in order
        self._turn = asyncio.Lock()

    @property
    def is_up(self) -> bool:
        """Whether it serves."""
        return self._agent is not None and self._life is not None and not self._life.is_over

    async def start(self) -> None:
        """Start a new life; a crash while it starts leaves it dead."""
        async with self._turn:
            if self._life is not None and not self._life.is_over:
                return
            loop = self._network.loop
            life = self._life = Life(self.name)
            self._all_lives.append(life)
            self.lives += 1
            clock = SimulatedClock(loop, lambda: self.clock_wrong_by_s)
            wire = Wire(self._network, self.name, self.lives)
            agent = SimulatedAgent(self._settings(self.key), self._folder, clock, wire)
            life.die = lambda: self.crash(life, agent)
            try:
                await self._in_life(life, agent.start())
            except ConnectionLostError:
                return
            agent.service.store.changes.listen(self.hears, accepts=False)
            self._agent = agent
            self._network.tell(f"{self.name} is up (life {self.lives})")

    async def stop(self) -> None:
        """In good order."""
        async with self._turn:
            agent, life = self._agent, self._life
            if agent is None or life is None or life.is_over:
                return
            self._agent = None
            with contextlib.suppress(ConnectionLostError):
                await self._in_life(life, agent.stop())
            if not life.is_over:
                self._end(life)
                self._network.tell(f"{self.name} was stopped")

    @property
    def pending(self) -> int:
        """How many operations are not settled."""
        if not self.is_up or self._life is None:
            return 1
        ((count,),) = self._life.databases[-1].execute("SELECT count(*) FROM operation WHERE status = 'pending'")
        return int(count)

    def die_in(self, steps: int) -> None:
        """Die so many steps from now."""
        if self._life is not None and not self._life.is_over:
            self._life.dies_at = self._life.steps + steps

    def spare(self) -> None:
        """Do not die after all: nothing has happened for so long."""
        if self._life is not None:
            self._life.dies_at = None

    def crash(self, life: Life, agent: SimulatedAgent) -> None:
        """As kill -9: what is on the disk stays, nothing else does."""
        if life.is_over:
            return
        files = Files(agent.data_dir.database)
        self._end(life)
        for database in life.databases:
            database.close()
        files.put_back()
        if agent.database is not None:
            agent.database.mark.close()
        agent.data_dir._lock.release()  # both as the system does for a dead process
        self._agent = None
        self._network.tell(f"{self.name} died after {life.steps} steps")

    def _end(self, life: Life) -> None:
        self._network.loop.end(life)
        self.ended_at.append(self._network.now())
        for request in list(self._requests):
            if not request.done():
                request.set_exception(ConnectionLostError())

    async def request(self, ask: Callable[[Service, Callable[[Any], None]], Coroutine[Any, Any, None]]) -> Any:
        """Have the agent do something; `ask` is given its service and how to answer. Raises ConnectionLostError."""
        if self._agent is None or self._life is None or self._life.is_over:
            raise ConnectionLostError
        answer: asyncio.Future[Any] = self._network.loop.create_future()

        def tell(value: Any) -> None:
            if not answer.done():
                answer.set_result(value)

        return await self._in_life(self._life, ask(self._agent.service, tell), answer)

    async def _in_life(
        self, life: Life, work: Coroutine[Any, Any, Any], answer: "asyncio.Future[Any] | None" = None
    ) -> Any:
        loop = self._network.loop
        told: asyncio.Future[Any] = answer or loop.create_future()

        def over(task: asyncio.Task[Any]) -> None:
            if task.cancelled():
                told.cancel()
            elif not told.done():
                error = task.exception()
                if error is None:
                    told.set_result(task.result())
                else:
                    told.set_exception(error)

        task = loop.create_task(work, context=life.context.copy())
        task.add_done_callback(over, context=contextvars.Context())
        self._requests[told] = None
        try:
            return await told
        finally:
            self._requests.pop(told, None)

    def bury(self) -> None:
        """The run is over."""
        if self._life is not None and not self._life.is_over and self._agent is not None:
            self.crash(self._life, self._agent)
        for life in self._all_lives:
            life.bury()


def settings_for(till: str, key: str, **options: Any) -> Settings:
    """A till's configuration."""
    return Settings.isolated(
        flash={
            "base_url": "https://flash.example.com/api/v2",
            "write_key": key,
            "attempt_timeout_s": ATTEMPT_LIMIT_S,
        },
        store={"store_id": STORE, "till_id": till},
        members={"sync_minutes": 0},
        **options,
    )
