"""An adapter alone, in a process of its own: how fast it reads a file, and how much memory that takes at most.

``python -m benchmarks.peers.reading ADAPTER FILE OPTIONS`` prints ``{"documents", "seconds", "peak_mb"}``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from agent.adapters import registry
from agent.adapters.base import Found, Site
from benchmarks.processes import peak_mb


def main() -> None:
    """Read the file to its end and keep nothing."""
    name, file, options = sys.argv[1:]
    adapter, chosen = registry.adapter(name), registry.options_of(name, json.loads(options))
    with Path(file).open("rb") as source:
        began = time.perf_counter()
        documents = sum(isinstance(item, Found) for item in adapter.items(source, chosen, Site("USD")))
        seconds = time.perf_counter() - began
    print(json.dumps({"documents": documents, "seconds": seconds, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main()
