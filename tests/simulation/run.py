"""Let a plan happen, and say what was not as promised."""

import asyncio
import contextlib
import gc
import hashlib
import os
import random
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import structlog

from agent import members, outbox
from agent.clock import Clock
from agent.delivery import Kind
from agent.health import Health
from agent.outbox.changes import Change
from agent.outbox.state import FINAL
from agent.storage import Database, DataDir, DataKeys, KeyFile
from agent.storage.migrations import migrate
from tests.simulation import oracle
from tests.simulation.disk import SimulatedConnection
from tests.simulation.flash import Coupon, FlashModel
from tests.simulation.loop import StuckError, VirtualLoop
from tests.simulation.network import Network
from tests.simulation.plan import (
    FIRST_KEY,
    FOREIGN_KEY,
    SECOND_KEY,
    TILLS,
    Ask,
    ClockJump,
    Crash,
    Drill,
    Event,
    ForgetKeys,
    LookUp,
    Operate,
    Plan,
    Restart,
    Revoke,
    Strike,
    Weather,
)
from tests.simulation.registers import Log, Registers
from tests.simulation.till import Till, settings_for

SETTLES_WITHIN_S = 1800.0  # of virtual time, once all faults have ceased
LOOKS_EVERY_S = 5.0
MOST_STEPS_S = 60.0
_OPERATION = re.compile(r"op_[0-9a-f]{32}")


@dataclass(slots=True)
class Result:
    """What was seen. `trace` is what happened, line by line; `virtual_s` how long it took there."""

    plan: Plan
    breaches: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    acknowledged: int = 0
    calls: int = 0
    effects: int = 0
    lives: int = 0
    virtual_s: float = 0.0

    def story(self) -> str:
        """The trace with short names for operations, whose ids are chance."""
        names: dict[str, str] = {}
        return _OPERATION.sub(lambda found: names.setdefault(found[0], f"op{len(names) + 1}"), "\n".join(self.trace))

    @property
    def digest(self) -> str:
        """The same for two runs that went the same way."""
        return hashlib.sha256(self.story().encode()).hexdigest()


def run(plan: Plan) -> Result:
    """Run it from beginning to end; the same plan runs the same way each time."""
    result = Result(plan)
    template = _template()
    gc.freeze()  # what was there before is not looked at when this run is cleared away
    gc.disable()
    folder = Path(tempfile.mkdtemp(prefix="simulation-", dir=_memory()))
    before = random.getstate()
    random.seed(plan.salt)
    try:
        _run(plan, folder, template, result)
    finally:
        random.setstate(before)
        with _silence():
            gc.collect()
        shutil.rmtree(folder, ignore_errors=True)
        gc.enable()
        gc.unfreeze()
    return result


def _run(plan: Plan, folder: Path, template: Path, result: Result) -> None:
    loop = VirtualLoop()
    try:
        with _logging(result, loop):
            world = World(plan, loop, folder, result, template)
            loop.set_exception_handler(lambda _, said: world.fault(str(said.get("exception") or said["message"])))
            with contextlib.suppress(StuckError):
                loop.run_until_complete(world.happen())
            loop.set_exception_handler(lambda _loop, _said: None)  # what the dead never asked for
            with _silence():
                for till in world.tills.values():
                    till.bury()
    finally:
        loop.close()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """What the dead left is cleared away: coroutines that were never awaited, files that were never closed."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _unraisable: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.unraisablehook = hook


class World:
    """Everything there is in one run."""

    def __init__(self, plan: Plan, loop: VirtualLoop, folder: Path, result: Result, template: Path) -> None:
        self.plan = plan
        self.result = result
        self._loop = loop
        chance = random.Random(plan.salt)
        SimulatedConnection.chance = random.Random(plan.salt + 1)
        self.flash = _flash(plan)
        self.network = Network(loop, self.flash, chance, self.tell)
        self.log = Log()
        self.network.on_leave = self._leaves
        options = {"relay": {"batch_size": plan.batch_size}, "coupons": {"offline": plan.offline}}
        self.tills = {}
        for name in plan.tills:
            shutil.copytree(template, folder / name)

            def settings(key: str, name: str = name) -> Any:
                return settings_for(name, key, **options)

            self.tills[name] = Till(name, self.network, folder / name, settings, FIRST_KEY)
        for till in self.tills.values():
            till.hears = self._hears
        self.network.lives = lambda till, life: self.tills[till].lives == life and self.tills[till].is_up
        self._registers = Registers(self.tills, self.network, self.log)
        self._work: list[asyncio.Task[None]] = []

    def tell(self, text: str) -> None:
        """A line of the trace."""
        self.result.trace.append(f"{self.network.now():9.3f}  {text}")

    def fault(self, text: str) -> None:
        """Something that must not happen at all."""
        self.tell(f"FAULT {text}")
        self.result.breaches.append(text)

    def _hears(self, changes: Sequence[Change]) -> None:
        for change in changes:
            said = self.log.settled.setdefault(change.id, [])
            if change.status in FINAL and (not said or change.kind is not Kind.REDEMPTION or said[-1] != change.status):
                said.append(change.status.value)

    def _leaves(self, call: Any) -> None:
        call.waited_for = self.log.waits(call.till, call.key, self.network.now())

    async def happen(self) -> None:
        """The plan, then calm, then judgement."""
        await asyncio.gather(*(till.start() for till in self.tills.values()))
        for event in self.plan.events:
            await asyncio.sleep(max(0.0, event.at - self.network.now()))
            self._begin(event)
        await asyncio.sleep(max(0.0, self.plan.ends_at - self.network.now()))
        await self._calm()
        await self._settle()
        await oracle.judge(self)
        result = self.result
        result.acknowledged = sum(1 for told in self.log.told if told.id)
        result.calls, result.effects = len(self.network.calls), len(self.flash.effects)
        result.lives = sum(till.lives for till in self.tills.values())
        result.virtual_s = self.network.now()

    def _begin(self, event: Event) -> None:
        match event:
            case Ask():
                self._spawn(self._registers.ask(event))
            case LookUp():
                self._spawn(self._registers.look_up(event))
            case Operate():
                self._spawn(self._registers.operate(event))
            case Weather():
                self.tell(f"weather: {event.share:.0%} {', '.join(event.faults)} for {event.for_s} s")
                self.network.weather.append(event)
            case Drill():
                self._spawn(self._registers.drill(event))
            case Strike():
                self.network.strikes.append(event)
            case Crash():
                self._spawn(self._crash(event))
            case Restart():
                self._spawn(self._restart(self.tills[event.till], event.down_s, event.key))
            case Revoke():
                self.tell(f"Flash revokes {event.key}")
                self.flash.keys.discard(event.key)
            case ClockJump():
                till = self.tills[event.till]
                till.clock_wrong_by_s += event.by_s
                till.jumped_at.append(self.network.now())
                self.tell(f"{event.till}'s clock is set by {event.by_s} s")
            case ForgetKeys():
                self.tell("Flash forgets its Idempotency-Keys")
                self.flash.forget_keys()

    def _spawn(self, work: Any) -> None:
        self._work.append(self._loop.create_task(work))

    async def _crash(self, crash: Crash) -> None:
        till = self.tills[crash.till]
        till.die_in(crash.steps)
        for _ in range(int(MOST_STEPS_S)):
            if not till.is_up:
                break
            await asyncio.sleep(1.0)
        till.spare()
        await asyncio.sleep(crash.down_s)
        await till.start()

    async def _restart(self, till: Till, down_s: float, key: str | None) -> None:
        await till.stop()
        till.key = key or till.key
        await asyncio.sleep(down_s)
        await till.start()

    async def _calm(self) -> None:
        """All faults cease: fair weather, every till up, with a key that Flash takes."""
        self.network.is_calm = True
        self.tell("all faults cease")
        await asyncio.sleep(MOST_STEPS_S + 31.0)  # crashes that are still to come, and their starting again
        for till in self.tills.values():
            if till.key not in self.flash.keys:
                await self._restart(till, 0.1, SECOND_KEY)
            await till.start()

    async def _settle(self) -> None:
        end = self.network.now() + SETTLES_WITHIN_S
        while self.network.now() < end:
            await asyncio.sleep(LOOKS_EVERY_S)
            if all(task.done() for task in self._work) and not any(till.pending for till in self.tills.values()):
                break
        for task in self._work:
            if not task.done():
                self.fault(f"a register or operator still waits: {task}")
            elif task.exception() is not None:
                self.fault(f"a register met {task.exception()!r}")


def _flash(plan: Plan) -> FlashModel:
    flash = FlashModel(keys={FIRST_KEY, SECOND_KEY}, foreign={FOREIGN_KEY}, hides_used=plan.hides_used)
    for number in (1, 2, 3):
        flash.add_member(f"C{number}", fullName="Ada")
    for number in range(1, 6):
        flash.coupons[f"K{number}"] = Coupon(f"K{number}", f"m_{min(number, 3)}", uses=2 if number == 5 else 1)
    return flash


def _memory() -> str | None:
    """Where files cost least."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108


@cache
def _template() -> Path:
    """A data directory as after a first start; the same keys each time, or no run would be like another."""
    import atexit

    folder = Path(tempfile.mkdtemp(prefix="simulation-template-", dir=_memory()))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    loop = VirtualLoop()
    network = Network(loop, FlashModel(), random.Random(0), lambda _text: None)
    network.lives = lambda _till, _life: True
    till = Till(TILLS[0], network, folder, lambda key: settings_for(TILLS[0], key), FIRST_KEY)

    async def once() -> None:
        data = DataDir(folder)
        database = Database(data.database, data.quarantine, Health(Clock()), connection=SimulatedConnection)
        await database.open()
        await migrate(database, "outbox", outbox.MIGRATIONS)
        await migrate(database, "members", members.MIGRATIONS)
        await database.close()
        KeyFile(data.data_key).save(DataKeys({1: bytes(range(32))}, 1, bytes(range(32, 64))))
        await till.start()
        await till.stop()

    loop.run_until_complete(once())
    loop.close()
    return folder


@contextlib.contextmanager
def _logging(result: Result, loop: VirtualLoop) -> Iterator[None]:
    """What the agents log goes into the trace; an exception that they caught and logged is a fault of theirs."""
    before = structlog.get_config() if structlog.is_configured() else None

    def note(_logger: Any, level: str, event: dict[str, Any]) -> Any:
        fields = ", ".join(f"{name}={value}" for name, value in event.items() if name not in {"event", "exc_info"})
        result.trace.append(f"{loop.now - 1000:9.3f}    {level}: {event['event']} {fields}")
        if "exc_info" in event:
            import traceback

            said = traceback.format_exc()
            result.trace.append(said)
            result.breaches.append(f"an exception was logged: {event['event']}: {said.strip().splitlines()[-1]}")
        raise structlog.DropEvent

    structlog.configure(processors=[note], wrapper_class=structlog.make_filtering_bound_logger(20))
    try:
        yield
    finally:
        structlog.reset_defaults()
        if before is not None:
            structlog.configure(**before)
