"""The settings: TOML file, then environment, then flags; loaded once, and refused whole when anything is off.

Called by the commands; everything else is handed the frozen `Settings`.
"""

from agent.config.loading import load
from agent.config.places import (
    MAX_FILE_BYTES,
    PACKAGED_CONFIG,
    config_path,
    data_dir,
    default_config_path,
    site_data_dir,
)
from agent.config.sections import Coupons, Members, Spool
from agent.config.settings import Settings, wordings_of
from agent.config.values import LOOPBACK_HOSTS

__all__ = [
    "LOOPBACK_HOSTS",
    "MAX_FILE_BYTES",
    "PACKAGED_CONFIG",
    "Coupons",
    "Members",
    "Settings",
    "Spool",
    "config_path",
    "data_dir",
    "default_config_path",
    "load",
    "site_data_dir",
    "wordings_of",
]
