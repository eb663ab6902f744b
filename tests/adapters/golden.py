"""Golden files: what an adapter makes of a document, reviewed once by a person, and held since.

    golden/ADAPTER/NAME.json   {"document", "currency", "options", "stores", "items"}

`document` is a path below `tests/adapters/fixtures` (documents of ours) or below the folder of public samples, which is
not part of the project: FLASH_SAMPLES, else `../shared/samples` beside the repository. Where it is absent, those
goldens are skipped. To make or renew one, and then to read it before it is committed:

    python -m tests.adapters.golden ADAPTER DOCUMENT [--currency EUR] [--options JSON] [--stores JSON]
    python -m tests.adapters.golden --renew
"""

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent import jsons
from agent.adapters import registry
from agent.adapters.base import Found, Item, Site
from agent.adapters.canonical import kind_of

HERE = Path(__file__).parent
FIXTURES = HERE / "fixtures"
GOLDEN = HERE / "golden"
SAMPLES = Path(os.environ.get("FLASH_SAMPLES") or HERE.parent.parent.parent / "shared" / "samples")


@dataclass(frozen=True)
class Case:
    """One golden: a document, how the site is set, and what comes of it."""

    adapter: str
    name: str
    document: str
    currency: str
    options: dict[str, Any]
    stores: dict[str, str]
    items: list[dict[str, Any]]

    @property
    def path(self) -> Path | None:
        """Where the document is; None where the public samples are absent."""
        own = FIXTURES / self.document
        if own.exists():
            return own
        return SAMPLES / self.document if SAMPLES.is_dir() else None

    @property
    def site(self) -> Site:
        return Site(self.currency, stores=self.stores)

    def parse(self, document: bytes) -> list[Item]:
        """What the adapter makes of these bytes, set as here."""
        adapter = registry.adapter(self.adapter)
        return adapter.parse(document, registry.options_of(self.adapter, self.options), self.site)


def spelled(item: Item) -> dict[str, Any]:
    """An item as it stands in a golden file."""
    if not isinstance(item, Found):
        return {"skipped": item.code, "reason": item.reason, "place": item.place, "fault": item.fault}
    shown = {"kind": kind_of(item.document), "place": item.place, "document": item.document.sent()}
    return json.loads(jsons.encode(shown if item.key is None else {**shown, "key": item.key}))


def cases() -> Iterator[Case]:
    """All goldens."""
    for path in sorted(GOLDEN.glob("*/*.json")):
        yield Case(path.parent.name, path.stem, **json.loads(path.read_text("utf-8")))


def write(case: Case) -> Path:
    """Write what the adapter makes of the case's document now."""
    assert case.path is not None, f"{case.document} is not here"
    items = [spelled(item) for item in case.parse(case.path.read_bytes())]
    fields = {"document": case.document, "currency": case.currency, "options": case.options, "stores": case.stores}
    target = GOLDEN / case.adapter / f"{case.name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({**fields, "items": items}, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description="Make or renew golden files.")
    parser.add_argument("adapter", nargs="?")
    parser.add_argument("document", nargs="?", help="below the fixtures or the samples")
    parser.add_argument("--name", help="default: the document's")
    parser.add_argument("--currency", default="USD")
    parser.add_argument("--options", type=json.loads, default={})
    parser.add_argument("--stores", type=json.loads, default={})
    parser.add_argument("--renew", action="store_true", help="all that there are (of ADAPTER, where it is given)")
    given = parser.parse_args()
    chosen = (
        [case for case in cases() if given.adapter in (None, case.adapter) and case.path is not None]
        if given.renew
        else [
            Case(
                given.adapter,
                given.name or Path(given.document).stem,
                given.document,
                given.currency,
                given.options,
                given.stores,
                [],
            )
        ]
    )
    for case in chosen:
        print(write(case))


if __name__ == "__main__":
    main()
