"""Where configuration and data lie, and what names another place: flag, then environment, then the site's own."""

import os
from collections.abc import Mapping
from pathlib import Path

APP_NAME = "flash-agent"
ENV_PREFIX = "FLASH_AGENT_"
CONFIG_VARIABLE = f"{ENV_PREFIX}CONFIG"
DATA_DIR_VARIABLE = f"{ENV_PREFIX}DATA_DIR"
MAX_FILE_BYTES = 1024 * 1024
PACKAGED_CONFIG = Path("/etc") / APP_NAME / "agent.toml"


def config_path(named: str | None) -> Path:
    """The configuration file: the one that is named, else the environment's, else the site's."""
    found = named or os.environ.get(CONFIG_VARIABLE)
    return Path(found) if found else default_config_path()


def default_config_path() -> Path:
    """The site-wide configuration file, which the service and the command line share.

    On Linux that is the package's, where its folder is there; else the one of the XDG rules.
    """
    if os.name == "posix" and PACKAGED_CONFIG.parent.is_dir():
        return PACKAGED_CONFIG
    import platformdirs  # noqa: PLC0415 - a service is told, and never loads it

    return Path(platformdirs.site_config_dir(APP_NAME, appauthor=False)) / "agent.toml"


def site_data_dir() -> Path:
    """The data directory of the service, whether it is there or not."""
    if os.name == "posix":
        return Path("/var/lib") / APP_NAME
    import platformdirs  # noqa: PLC0415

    return Path(platformdirs.site_data_dir(APP_NAME, appauthor=False))


def default_data_dir() -> Path:
    """The site-wide data directory where there is one, else the user's own."""
    site = site_data_dir()
    if site.exists():
        return site
    import platformdirs  # noqa: PLC0415

    return Path(platformdirs.user_data_dir(APP_NAME, appauthor=False))


def data_dir(flag: str | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """The data directory: flag, then environment, then the default."""
    chosen = flag or environ.get(DATA_DIR_VARIABLE)
    return Path(chosen).absolute() if chosen else default_data_dir()
