"""Members of the stand-in for Flash: as many as are wanted, each made up when asked for, so that none costs memory."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote

_PAGE = 200
_UPDATED_AT = "2026-11-20T08:00:00Z"


def member(number: int) -> dict[str, object]:
    """One member's own fields."""
    return {
        "id": f"mem_{number:08d}",
        "externalId": f"POS-CUST-{number:08d}",
        "email": f"customer.{number:08d}@example.com",
        "fullName": f"Customer Number {number:08d}",
        "points": number % 5000,
        "updatedAt": _UPDATED_AT,
    }


def answer(target: str, count: int) -> object | None:
    """The document for a GET below ``/members``; None for what there is not."""
    path, _, query_text = target.partition("?")
    query = {name: values[0] for name, values in parse_qs(query_text).items()}
    parts = path.strip("/").split("/")[1:]
    if not parts:
        return _found(query["externalId"], count) if "externalId" in query else _page(query, count)
    number = int(unquote(parts[0]).removeprefix("mem_"))
    if not 0 <= number < count:
        return None
    match parts[1:]:
        case []:
            return {"data": member(number)}
        case ["points"]:
            return {"data": {"balance": number % 5000}}
        case ["tier"]:
            return {"data": {"name": "Gold"}}
    coupon = {"id": f"C-{number}", "status": "active", "title": "5 off", "terms": {"type": "amount", "value": 5}}
    return {"data": [coupon]}


def _found(external_id: str, count: int) -> object:
    number = int(external_id.removeprefix("POS-CUST-"))
    return {"data": [member(number)] if 0 <= number < count else []}


def _page(query: dict[str, str], count: int) -> object:
    start = int(query.get("cursor", "0"))
    end = min(start + _PAGE, count)
    page: dict[str, object] = {"data": [member(number) for number in range(start, end)], "total": count}
    if end < count:
        page["nextCursor"] = str(end)
    return page
