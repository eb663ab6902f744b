"""Where records stand in Shopify's documents, and one shape for all: REST's.

    {…}   {"order": {…}}   {"orders": […]}   {"data": {"orders": {"nodes": […]}}}   {"data": {"order": {…}}}   […]

GraphQL's names and connections are turned into REST's, so that nothing behind this module knows of them.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from agent.adapters import values
from agent.adapters.base import named
from agent.adapters.json_documents import Record, inner, listed

_GID = re.compile(r"gid://shopify/(\w+)/(\d{1,20})(?:\?.*)?", re.ASCII)
_NUMBER = re.compile(r"\d{1,20}", re.ASCII)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_KINDS = {"Order": "order", "Refund": "refund", "Customer": "customer", "Product": "product"}
_ENVELOPES = {"order": "order", "refund": "refund", "customer": "customer", "product": "product", "node": ""}
_ENVELOPES |= {f"{name}s": kind for name, kind in _ENVELOPES.items()}
# What only one kind of record has, for those that carry no global id.
_SIGNS = {
    "refund_line_items": "refund",
    "financial_status": "order",
    "orders_count": "customer",
    "body_html": "product",
}


def records(value: Any) -> Iterator[tuple[int, str, Record]]:
    """Each record with its number from 1 and its kind: `order`, `refund`, `customer`, `product`, `privacy` or ""."""
    found = _found(value)
    for number, (kind, record) in enumerate(found, 1):
        shaped = _rest(record) if _is_graphql(record) else record
        if not isinstance(shaped, Mapping):
            yield number, "", {}
        else:
            yield number, kind or _kind(shaped), shaped


def goes_on(value: Any) -> bool:
    """Whether GraphQL says that its answer is one page of several; REST says so in a header, which is not here."""
    return any(inner(value, "data", name, "pageInfo", "hasNextPage") is True for name in _ENVELOPES)


def place_of(kind: str, record: Record, number: int) -> str:
    """Where a person finds it: by Shopify's numbers, else by its position."""
    own, order = record.get("id"), record.get("order_id")
    if not kind or not _is_number(own):
        return f"record {number}"
    return f"refund {own} of order {order}" if kind == "refund" and _is_number(order) else f"{kind} {own}"


def id_of(record: Record, name: str) -> str:
    """Shopify's number in a field, as text; raises ValueError naming the field."""
    found = named(name, values.text, record.get(name))
    if found is None:
        raise ValueError(f"{name} is missing")
    if not _NUMBER.fullmatch(found):
        raise ValueError(f"{name} must be Shopify's number")
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, str | int) and bool(_NUMBER.fullmatch(str(value)))


def _found(value: Any) -> Iterator[tuple[str, Any]]:
    """Kind, where the envelope tells it, and record."""
    if isinstance(value, Mapping) and isinstance(value.get("data"), Mapping):
        value = value["data"]
    if isinstance(value, list):
        for record in value:
            yield "", record
        return
    if not isinstance(value, Mapping):
        yield "", None
    elif "shop_domain" in value:
        yield "privacy", value
    elif "id" in value:
        yield "", value
    else:
        yield from _enveloped(value)


def _enveloped(value: Record) -> Iterator[tuple[str, Any]]:
    opened = [(kind, value[name]) for name, kind in _ENVELOPES.items() if value.get(name) is not None]
    if not opened and value:
        yield "", value
    for kind, content in opened:
        for record in _connection(content):
            yield kind, record


def _connection(value: Any) -> list[Any]:
    """A list, whether it comes as one, as GraphQL's nodes or as its edges."""
    if isinstance(value, Mapping) and isinstance(value.get("nodes"), list):
        return list(value["nodes"])
    if isinstance(value, Mapping) and isinstance(value.get("edges"), list):
        return [inner(edge, "node") for edge in value["edges"]]
    return listed(value)


def _is_graphql(record: Any) -> bool:
    return isinstance(record, Mapping) and isinstance(record.get("id"), str) and record["id"].startswith("gid:")


def _kind(record: Record) -> str:
    gid = record.get("admin_graphql_api_id")
    if isinstance(gid, str) and (match := _GID.fullmatch(gid)):
        return _KINDS.get(match[1], "")
    return next((kind for sign, kind in _SIGNS.items() if sign in record), "")


# What REST calls otherwise than the words of GraphQL's name.
_RENAMED = {
    "display_financial_status": "financial_status",
    "currency_code": "currency",
    "description_html": "body_html",
    "number_of_orders": "orders_count",
}
_MONEY = {"amount", "currencyCode"}


def _rest(value: Any) -> Any:
    """GraphQL's value in REST's shape: names, connections, numbers for global ids, statuses in lower case."""
    if isinstance(value, list):
        return [_rest(item) for item in value]
    if isinstance(value, str):
        return match[2] if (match := _GID.fullmatch(value)) else value
    if not isinstance(value, Mapping):
        return value
    if isinstance(value.get("nodes"), list) or isinstance(value.get("edges"), list):
        return [_rest(item) for item in _connection(value)]
    if set(value) <= _MONEY:
        return {"amount": value.get("amount"), "currency_code": value.get("currencyCode")}
    shaped = {_rest_name(name): _rest(content) for name, content in value.items()}
    for name in ("financial_status", "kind", "status"):
        if isinstance(shaped.get(name), str):
            shaped[name] = shaped[name].lower()
    for name, path in (("location_id", ("retail_location", "id")), ("order_id", ("order", "id"))):
        if name not in shaped:
            shaped[name] = inner(shaped, *path)
    shaped["admin_graphql_api_id"] = value.get("id")
    return shaped


def _rest_name(name: str) -> str:
    snake = _HUMP.sub("_", name).lower()
    return _RENAMED.get(snake, snake)
