"""Packages are built and installed when this folder is named (`make packages`), never as part of `make test`."""

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    here = Path(__file__).parent
    named = (Path(config.invocation_params.dir, argument.partition("::")[0]) for argument in config.args)
    if any(path.is_relative_to(here) for path in named):
        return None
    return collection_path.is_relative_to(here) or None
