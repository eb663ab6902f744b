"""Where configuration and data lie, and whether we may write there: known before the first question is asked."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from agent import config
from agent.errors import ConfigError
from agent.storage import DataDir

GROUP = "flash-agent"  # the service's, on Linux


@dataclass(frozen=True, slots=True)
class Place:
    """`config` is agent.toml; `service`: a service of the system runs the agent."""

    config: Path
    data_dir: Path
    service: bool

    @property
    def options(self) -> str:
        """What the other commands must be told, to find the agent that was set up here."""
        return "" if self.service else f" --data-dir {self.data_dir}"

    @property
    def config_option(self) -> str:
        """What those must be told that read the configuration."""
        return "" if self.service else f" --config {self.config}"


def find(named_config: str | None, named_data_dir: str | None, *, service: bool) -> Place:
    """The place; raises ConfigError with the mend where it cannot be ours."""
    if service:
        place = Place(_service_config(), config.site_data_dir(), service=True)
        named = {"--config": (named_config, place.config), "--data-dir": (named_data_dir, place.data_dir)}
        for option, (given, own) in named.items():
            if given and Path(given).absolute() != own:
                raise ConfigError(f"The service uses {own}. Leave {option} out, or set up without it: --no-service.")
        if not is_administrator():
            who = "as an administrator" if sys.platform == "win32" else "as root (sudo)"
            raise ConfigError(f"A service is set up {who}. Do so, or add --no-service, --config and --data-dir.")
        return place
    path = config.config_path(named_config).absolute()
    place = Place(path, config.data_dir(named_data_dir), service=False)
    _must_be_writable(place.config.parent, "--config")
    _must_be_writable(place.data_dir, "--data-dir")
    DataDir(place.data_dir).refuse_as_root()
    return place


def is_administrator() -> bool:
    """Whether we may change the system."""
    if sys.platform == "win32":
        import ctypes  # noqa: PLC0415 - there alone

        return bool(ctypes.windll.shell32.IsUserAnAdmin())
    return os.geteuid() == 0


def _service_config() -> Path:
    if sys.platform == "win32":
        return config.default_config_path()
    return config.PACKAGED_CONFIG


def _must_be_writable(folder: Path, option: str) -> None:
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    if not os.access(existing, os.W_OK):
        raise ConfigError(f"You may not write into {existing}. Name another place with {option}, or run this as root.")
