"""All spool folders of a till: started and stopped together, their conditions, and what can be told of them."""

from collections.abc import Callable
from typing import Any

from agent.clock import Clock
from agent.config import Spool as Options
from agent.health import Health, how_many
from agent.importing import Importing
from agent.spool.keeper import Keeper, State
from agent.spool.places import Places
from agent.spool.taking import Taking


class Spool:
    """Keeps every folder of `[spool.folders]`."""

    def __init__(
        self,
        options: Options,
        importing: Importing,
        health: Health,
        clock: Clock,
        *,
        busy: Callable[[], bool],
        clock_is_right: Callable[[], bool],
    ) -> None:
        self._health = health
        self._keepers: list[Keeper] = []
        for adapter, folder in options.folders.items():
            places = Places(folder)
            taking = Taking(adapter, places, importing, clock, busy)
            state = State(adapter, folder)
            self._keepers.append(
                Keeper(state, places, taking, options, clock, changed=self._judge, clock_is_right=clock_is_right)
            )

    async def start(self) -> None:
        """Begin to look."""
        for keeper in self._keepers:
            keeper.start()

    async def stop(self) -> None:
        """Stop them all."""
        for keeper in self._keepers:
            keeper.end()
        for keeper in self._keepers:
            await keeper.stop()

    def states(self) -> list[dict[str, Any]]:
        """The fields of SpoolFolderView, by folder."""
        return [
            {
                "adapter": state.adapter,
                "folder": str(state.folder),
                "waiting": state.waiting,
                "doneToday": state.done_today,
                "failed": state.failed,
                "lastTakenAt": state.last_taken_at,
                "problem": state.problem or None,
            }
            for state in self._states
        ]

    @property
    def _states(self) -> list[State]:
        return [keeper.state for keeper in self._keepers]

    def _judge(self) -> None:
        """The conditions that follow from the folders' states."""
        problems = "; ".join(f"{state.folder} {state.problem}" for state in self._states if state.problem)
        self._health.set("spool-unusable", active=bool(problems), detail=f"{problems}.")
        failed = sum(state.failed for state in self._states)
        self._health.set("spool-failed", active=failed > 0, detail=how_many(failed))
