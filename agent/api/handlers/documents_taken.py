"""What `documents.py` hands on: other systems' documents, each parsed in a thread, away from registers."""

import asyncio
import contextlib
import dataclasses
import io
from collections.abc import AsyncIterator
from itertools import islice
from typing import Any

from agent.adapters import registry
from agent.adapters.base import Found, Item, Skipped
from agent.api import guard, web
from agent.api.calls import Call, answer, read_body, wording_for
from agent.api.shown import operation_json
from agent.errors import Fault, InvalidError, MediaTypeError, OverloadedError, TooLargeError
from agent.importing import CatalogTaken, Importing, Taken, catalog_totals, totals
from agent.receipt.wording import Wording
from agent.tokens import Scope

MAX_FILE_CHARS = 200
LARGE_BYTES = 512 * 1024
TURN_LIMIT_S = 60.0  # longer than a body may take to come
QUERY = frozenset({"dryRun", "file", "origin"})
MAX_ITEMS = 1000  # of one answer; more come by flash-agent import or the spool


async def list_adapters(call: Call) -> web.Response:
    """See the handler."""
    importing = call.service.importing
    site = {
        "currency": importing.site.currency,
        "currencies": sorted(importing.site.currencies),
        "stores": dict(importing.site.stores),
        "unknownStores": "own" if importing.site.others_are_own else "refuse",
        "pushMembers": importing.push_members,
        "maxBytes": importing.max_bytes,
    }
    adapters = await asyncio.to_thread(
        lambda: [_adapter_json(name, importing.options(name), importing.lacking(name)) for name in registry.MODULES]
    )
    return answer({"adapters": adapters, "site": site})


async def post_document(call: Call) -> web.Response:
    """See the handler."""
    name = call.parameters["adapter"]
    adapter = await asyncio.to_thread(registry.adapter, name)  # the first one loads it
    if call.request.content_type.lower() not in adapter.media:
        raise MediaTypeError(f"Send it with one of these content types: {', '.join(adapter.media)}.")
    guard.check_unpacked(call.request)
    _check_query(call)
    dry_run, origin = _dry_run(call), _origin(call, name)
    importing = call.service.importing
    async with _turn(call):
        body = await read_body(call.request, importing.max_bytes)
        items = await asyncio.to_thread(_read, importing, name, body)
        del body
    if len(items) > MAX_ITEMS:
        mend = "use flash-agent import, or the spool folder"
        raise TooLargeError(f"The document holds more than {MAX_ITEMS:,} items; {mend}.", code="too-many-items")
    master_data = call.caller.may(Scope.OPERATOR)
    if name == "canonical" and not master_data:
        items = [_without_key_of_its_own(item) for item in items]
    if dry_run:
        taken = await importing.rehearse(items, master_data=master_data)
    else:
        taken = await importing.take(items, origin, master_data=master_data)
    headers: dict[str, str] = {}
    wording = wording_for(call, headers)
    shown = await asyncio.to_thread(lambda: [_taken_json(each, wording, dry_run=dry_run) for each in taken])
    summed = {"totals": totals(taken), "catalogTotals": catalog_totals(taken)}
    return answer({"adapter": name, "dryRun": dry_run, **summed, "items": shown}, headers=headers)


@contextlib.asynccontextmanager
async def _turn(call: Call) -> AsyncIterator[None]:
    """One large document is in memory at a time, where it takes some twenty times its size; small ones need not wait.

    Raises OverloadedError where the one before takes too long.
    """
    length = call.request.content_length
    if length is not None and length <= LARGE_BYTES:
        yield
        return
    large = call.service.importing.large
    try:
        async with asyncio.timeout(TURN_LIMIT_S):
            await large.acquire()
    except TimeoutError:
        raise OverloadedError("Another large document is being read.", retry_after_s=5) from None
    try:
        yield
    finally:
        large.release()


def _without_key_of_its_own(item: Item) -> Item:
    """Whoever chooses the key under which one order goes to Flash can use up another's, which then never lands."""
    if not isinstance(item, Found) or item.key is None:
        return item
    reason = "A key needs a token of scope operator. Without it the agent makes one; nothing was stored."
    return Skipped("key-not-yours", reason, item.place, fault=True)


def _read(importing: Importing, name: str, body: bytes) -> list[Item]:
    """In a thread: what is in a document; one more than may be is enough."""
    return list(islice(importing.items(name, io.BytesIO(body)), MAX_ITEMS + 1))


def _check_query(call: Call) -> None:
    """A misspelled `dryRun` that is passed over would store what was only to be looked at."""
    query = call.request.query
    faults = [Fault(name, "is given more than once") for name in sorted(QUERY) if len(query.getall(name, ())) > 1]
    if not QUERY.issuperset(query):
        faults.append(Fault("query", f"has an unknown parameter; there are: {', '.join(sorted(QUERY))}"))
    if faults:
        raise InvalidError("A query parameter is wrong. Nothing was stored.", faults=faults)


def _dry_run(call: Call) -> bool:
    given = call.request.query.get("dryRun", "false")
    if given not in {"true", "false"}:
        raise InvalidError("A query parameter is wrong.", faults=[Fault("dryRun", "must be true or false")])
    return given == "true"


def _origin(call: Call, name: str) -> dict[str, str]:
    """What is kept with each operation: the adapter that read the document, here or before it was sent; the file."""
    query, origin = call.request.query, {"adapter": name}
    if "origin" in query:
        if name != "canonical" or query["origin"] not in registry.MODULES:
            message = "must be the name of an adapter, and goes with canonical alone"
            raise InvalidError("A query parameter is wrong.", faults=[Fault("origin", message)])
        origin["adapter"] = query["origin"]
    if "file" in query:
        if not query["file"].isprintable() or not 0 < len(query["file"]) <= MAX_FILE_CHARS:
            message = f"must be the name of a file, at most {MAX_FILE_CHARS} printable characters"
            raise InvalidError("A query parameter is wrong.", faults=[Fault("file", message)])
        origin["file"] = query["file"]
    return origin


def _adapter_json(name: str, options: Any, lacking: str | None) -> dict[str, Any]:
    adapter = registry.adapter(name)
    return {
        "name": name,
        "title": adapter.title,
        "media": list(adapter.media),
        "suffixes": list(adapter.suffixes),
        "covers": dataclasses.asdict(adapter.covers),
        "validated": adapter.validated,
        "options": dict(options),
        "lacking": lacking,
    }


def _taken_json(taken: Taken, wording: Wording, *, dry_run: bool) -> dict[str, Any]:
    operation: dict[str, Any] | None = None
    reason: dict[str, Any] | None = None
    if taken.accepted is not None:
        accepted = taken.accepted
        operation = operation_json(
            accepted.operation, wording, replayed=accepted.replayed, differs=list(accepted.differs)
        )
        if dry_run and not accepted.replayed:
            operation |= {"id": None, "href": None}
    elif taken.skipped is not None:
        reason = {"code": taken.skipped.code, "reason": taken.skipped.reason, "errors": []}
    elif taken.refused is not None:
        faults = [{"field": fault.field, "message": fault.message} for fault in taken.refused.faults]
        reason = {"code": taken.refused.code, "reason": taken.refused.detail, "errors": faults}
    return {
        "place": taken.place,
        "kind": taken.kind,
        "outcome": taken.outcome,
        "operation": operation,
        "catalog": _catalog_json(taken.catalog, dry_run=dry_run),
        "reason": reason,
    }


def _catalog_json(catalog: CatalogTaken | None, *, dry_run: bool) -> dict[str, Any] | None:
    if catalog is None:
        return None
    ids = [None if dry_run and not each.replayed else each.operation.id for each in catalog.operations]
    return {"rows": catalog.rows, "unchanged": catalog.unchanged, "operations": ids}
