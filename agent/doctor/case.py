"""What the checks are given: the settings, the data directory, and the agent that runs there, if one does."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agent import config
from agent.doctor.bounded import within
from agent.errors import AgentError, ConfigError
from agent.storage import DataDir

# GET of the running agent, within so many seconds; raises AgentError, with `status` where it is an answer's.
Ask = Callable[[str, float], Any]
AgentState = Literal["running", "absent", "silent", "refuses", "unknown"]


STATUS_S = 3.0
GATHER_S = 6.0


@dataclass(frozen=True, slots=True)
class Case:
    """One till. `settings` is None where they cannot be used, and `config_fault` says why."""

    config_path: Path
    data_dir: Path
    settings: config.Settings | None = None
    config_fault: str = ""
    offline: bool = False
    agent: AgentState = "unknown"
    announced: dict[str, int] | None = None
    status: dict[str, Any] | None = None
    ask: Ask | None = None

    @property
    def port(self) -> int | None:
        """Where the running agent listens, else where the settings let it."""
        if self.announced and self.agent in {"running", "silent", "refuses"}:
            return self.announced.get("port")
        return self.settings.api.port if self.settings else None

    @property
    def kept_off(self) -> Literal["drill", "paused"] | None:
        """Why Flash may not be asked now, as the running agent says; None where it may."""
        codes = {condition["code"] for condition in (self.status or {}).get("conditions", [])}
        if "outage-drill" in codes:
            return "drill"
        return "paused" if "flash-throttled" in codes else None


def gather_in_time(
    config_flag: str | None, data_dir: Path, connect: Callable[[Path], Ask], *, offline: bool = False
) -> Case:
    """As `gather`; raises AgentError where the files do not answer."""
    try:
        return within(GATHER_S, lambda: gather(config_flag, data_dir, connect, offline=offline), "gather")
    except TimeoutError:
        raise AgentError(
            f"The settings or the data directory {data_dir} do not answer within {GATHER_S:.0f} s. Look at the disk or "
            "the network drive on which they lie."
        ) from None


def gather(config_flag: str | None, data_dir: Path, connect: Callable[[Path], Ask], *, offline: bool = False) -> Case:
    """Read the settings and find the agent; raises nothing for what is wrong with either."""
    settings, fault = None, ""
    try:
        settings = config.load(config_flag)
        _check_adapters(settings)
    except ConfigError as error:
        fault = str(error)
    state, announced, ask, status = _find_agent(data_dir, connect)
    return Case(config.config_path(config_flag), data_dir, settings, fault, offline, state, announced, status, ask)


def _check_adapters(settings: config.Settings) -> None:
    if settings.adapters or settings.spool.folders:
        from agent.adapters import registry  # noqa: PLC0415 - hardly any till has them

        registry.check(settings.adapters, settings.spool.folders)


def _find_agent(
    data_dir: Path, connect: Callable[[Path], Ask]
) -> tuple[AgentState, dict[str, int] | None, Ask | None, dict[str, Any] | None]:
    directory = DataDir(data_dir)
    announced = directory.announced() or None
    try:
        if not directory.is_held():
            return "absent", announced, None, None
        if announced is None:
            return "silent", None, None, None
        ask = connect(data_dir)
    except (OSError, AgentError):
        return "unknown", announced, None, None
    try:
        return "running", announced, ask, ask("/v1/status", STATUS_S)
    except AgentError as error:
        state: AgentState = "refuses" if getattr(error, "status", 0) in {401, 403, 404, 421} else "silent"
        return state, announced, ask, None
