"""What an adapter makes of a JSON document, as short values to compare."""

import json
from collections.abc import Mapping
from typing import Any

from agent.adapters import registry
from agent.adapters.base import Found, Item, Site
from tests.adapters.golden import spelled

SITE = Site("USD", stores={"018": "st_018"})


def items_of(adapter: str, document: Any, site: Site = SITE, **options: Any) -> list[Item]:
    return registry.adapter(adapter).parse(json.dumps(document).encode(), registry.options_of(adapter, options), site)


def found(adapter: str, document: Any, site: Site = SITE, **options: Any) -> list[Mapping[str, Any]]:
    """The documents found, each with its kind; a test that expects none asks for `codes`."""
    items = [item for item in items_of(adapter, document, site, **options) if isinstance(item, Found)]
    return [{"kind": spelled(item)["kind"], **spelled(item)["document"]} for item in items]


def codes(adapter: str, document: Any, site: Site = SITE, **options: Any) -> list[str]:
    """For each item what it is: the kind of what was found, the code of what was skipped, `!` behind a fault."""
    said = []
    for item in items_of(adapter, document, site, **options):
        shown = spelled(item)
        said.append(shown["kind"] if isinstance(item, Found) else shown["skipped"] + ("!" if shown["fault"] else ""))
    return said
