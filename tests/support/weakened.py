"""A copy of the product with one weakness built in, for the controls of the campaigns.

The shipped code has no switches for tests: what is weakened is a copy of its source. Each change names text that must
occur exactly once in its file, so that a control cannot silently stop weakening anything when the code moves on.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPIED = ("agent", "tests")


@dataclass(frozen=True, slots=True)
class Change:
    """Replace `old` by `new` in `file` (from the root of the tree, with slashes)."""

    file: str
    old: str
    new: str


def weakened_copy(folder: Path, changes: Sequence[Change]) -> Path:
    """Copy the product and its tests into `folder`, with the changes made; raises ValueError where one does not fit."""
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file, text in weakened(folder, changes).items():
        (folder / file).write_text(text, encoding="utf-8")
    return folder


def weakened(root: Path, changes: Sequence[Change]) -> dict[str, str]:
    """The files that are changed, by name, as they are then; raises ValueError where a change does not fit."""
    texts: dict[str, str] = {}
    for change in changes:
        text = texts.get(change.file) or (root / change.file).read_text(encoding="utf-8")
        found = text.count(change.old)
        if found != 1:
            raise ValueError(f"{change.file}: the text to change occurs {found} times instead of once: {change.old!r}")
        texts[change.file] = text.replace(change.old, change.new)
    return texts


def environment_of(folder: Path) -> Mapping[str, str]:
    """The environment in which `python -m agent` and `python -m tests...` mean the copy in `folder`.

    To be used with `folder` as the working directory, which Python puts before everything else for `-m`.
    """
    return {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
