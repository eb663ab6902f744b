"""What the calls about documents answer."""

from typing import Any, Literal

from agent.api.views.answered import Answered


class ReasonView(Answered):
    """Why an item was not sent: a stable code, words for people, and each fault with its field."""

    code: str
    reason: str
    errors: list[dict[str, str]]


class CatalogTakenView(Answered):
    """Of a catalog: its rows, how many were left out because Flash has them, and the operations that carry the rest.

    Catalogs that follow each other share operations.
    """

    rows: int
    unchanged: int
    operations: list[str | None]


class CatalogTotals(Answered):
    """Of all catalogs in a document."""

    rows: int
    unchanged: int
    operations: int


class TakenView(Answered):
    """What became of one item of a document.

    `outcome`: `accepted` and `replayed` have an operation; `skipped` needs nobody; `faulty` and `refused` need a
    person. A catalog's `operation` is the last one that carries rows of it; none where Flash has them all, which is
    `replayed` too.
    In a dry run the operation is what would be stored: it has no id.
    """

    place: str
    kind: str
    outcome: Literal["accepted", "replayed", "skipped", "faulty", "refused"]
    operation: dict[str, Any] | None
    catalog: CatalogTakenView | None
    reason: ReasonView | None


class DocumentView(Answered):
    """What became of a document, item by item, in its order."""

    adapter: str
    dry_run: bool
    totals: dict[str, int]
    catalog_totals: CatalogTotals | None
    items: list[TakenView]


class AdapterView(Answered):
    """One adapter: what it takes, how far that is validated, and what this site has set for it.

    `lacking`: the setting without which it takes no document yet, and why; null where it takes them.
    """

    name: str
    title: str
    media: list[str]
    suffixes: list[str]
    covers: dict[str, str]
    validated: str
    options: dict[str, Any]
    lacking: str | None


class AdapterList(Answered):
    """The adapters there are, and what all of them are told of this site."""

    adapters: list[AdapterView]
    site: dict[str, Any]
