"""An adapter alone, in a process of its own: how fast it reads a file, and how much memory that takes at most.

``python -m benchmarks.peers.reading ADAPTER FILE OPTIONS`` prints ``{"documents", "seconds", "peak_mb"}``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from agent.adapters import registry
from agent.adapters.base import Found, Site
from benchmarks.documents import STORES
from benchmarks.processes import peak_mb


def read(name: str, file: Path, options: Mapping[str, object]) -> int:
    """Read the file to its end and keep nothing; returns how many documents were found in it."""
    adapter, chosen, site = registry.adapter(name), registry.options_of(name, options), Site("USD", stores=STORES)
    with file.open("rb") as source:
        return sum(isinstance(item, Found) for item in adapter.items(source, chosen, site))


def main() -> None:
    """Read a file and say how long it took."""
    name, file, options = sys.argv[1:]
    chosen = json.loads(options)
    began = time.perf_counter()
    documents = read(name, Path(file), chosen)
    seconds = time.perf_counter() - began
    print(json.dumps({"documents": documents, "seconds": seconds, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main()
