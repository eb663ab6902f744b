"""What an answer means: one table, pure. (kind, status, body) → Outcome; nothing else decides a fate.

What counts as Flash's word: a 2xx is a yes only as JSON with a `data` object of the expected types. A 4xx is Flash's no
only where the contract gives that status a meaning for that call, and with a JSON object or an empty body. Anything
else is somebody else's voice, or no answer, and is tried again.

| answer                                   | sale       | refund        | enrollment, store, catalog | redemption     |
|------------------------------------------|------------|---------------|----------------------------|----------------|
| 2xx, `data` of the expected types        | succeeded  | succeeded     | succeeded                  | 200: succeeded |
| 200 empty, or JSON whose `data` is none  | retry      | retry         | retry                      | succeeded ³    |
| 2xx otherwise (HTML, torn, wrong types)  | retry      | retry         | retry                      | retry          |
| 400, 422                                 | failed     | failed        | failed                     | retry          |
| 404                                      | retry      | retry ¹       | retry                      | declined       |
| 409 or 422 with the idempotency code     | failed     | failed        | failed                     | failed         |
| 409, key in flight                       | retry      | retry         | retry                      | retry          |
| 409 ORDER_CONFLICT, or any other code    | failed     | retry         | retry                      | retry          |
| 409 without a code                       | retry ²    | retry         | retry                      | retry          |
| 401                                      | hold (key) | hold (key)    | hold (key)                 | hold (key)     |
| 403                                      | hold (endpoint) for every kind                                       |||
| 408, 425, 429, 5xx, anything else        | retry for every kind                                                 |||

¹ waits for the order; `declined` when the register asked for that (`ifKnown`).  ² failed after three in a row.
³ retry where it says `error`.
"""

import codecs
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

from agent import jsons
from agent.delivery import BATCH_REFUSED, ORDER_UNKNOWN, Contact, Fate, Kind, Outcome, Parcel
from agent.flash import wire
from agent.flash.readings import MAX_BALANCE, refused_rows
from agent.scrub import scrubbed

MAX_RETRY_AFTER_S = 24 * 3600.0
STRANGERS_RETRY_AFTER_S = 60.0  # what is not JSON is a gateway's page: it may ask for patience, not for a day
_REFUSED_WHOLE = {400, 403, 404, 405, 409, 413, 422, 501}
_MAX_MESSAGE = 1_000
_EMPTY: Mapping[str, Any] = {}
_POINTS = {Kind.SALE: "awarded", Kind.REFUND: "clawedBack"}


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds asked for by a Retry-After header, as a number or an HTTP date; None when there is none to be read."""
    if not value:
        return None
    if re.fullmatch(r"\d+", value.strip(), re.ASCII):
        return min(float(value.strip()[:400]), MAX_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError, TypeError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), MAX_RETRY_AFTER_S)


def parse(body: bytes) -> Mapping[str, Any] | None:
    """The JSON object in a body; empty for an empty body, None for anything else. A byte order mark is overlooked."""
    body = body.removeprefix(codecs.BOM_UTF8)
    if not body.strip():
        return _EMPTY
    try:
        parsed = jsons.loads(body)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def judge(kind: Kind, status: int, body: bytes, *, retry_after: float | None = None, if_known: bool = False) -> Outcome:
    """The outcome of one call for one operation."""
    return judge_parsed(kind, status, parse(body), retry_after=retry_after, if_known=if_known)


def judge_parsed(
    kind: Kind,
    status: int,
    body: Mapping[str, Any] | None,
    *,
    retry_after: float | None = None,
    if_known: bool = False,
) -> Outcome:
    """As `judge`, with the body parsed (None: it was not a JSON object)."""
    if 200 <= status < 300:
        return _yes(kind, status, body)
    if status in {408, 425, 429} or status >= 500:
        return _later(status, body, retry_after)
    if body is None:
        return _not_flash(status, "The answer is not Flash's: it is not JSON.")
    match status:
        case 401:
            return Outcome(
                Fate.HOLD,
                Contact.KEY_REFUSED,
                "flash-key-refused",
                "Flash refused the key.",
                401,
                unsent=True,
            )
        case 403:
            detail = f"Flash's key may not do this ({kind})."
            return Outcome(Fate.HOLD, Contact.ENDPOINT_REFUSED, "flash-endpoint-refused", detail, 403, unsent=True)
        case _:
            return _no(kind, status, body, if_known=if_known)


def _yes(kind: Kind, status: int, body: Mapping[str, Any] | None) -> Outcome:
    if body is None:
        return _not_flash(status, "The answer is not Flash's: it is not JSON.")
    data = body.get("data")
    if kind is Kind.REDEMPTION and status == 200:
        data = None if body.get("error") else data if isinstance(data, dict) else {}
    elif kind is Kind.REDEMPTION:
        data = None
    data = _with_whole_points(kind, data)
    if not isinstance(data, dict) or not _has_expected_types(kind, data):
        return _not_flash(status, "The answer lacks the data that Flash gives for this call.")
    refused = refused_rows(data) if kind is Kind.CATALOG else ()
    return Outcome(Fate.SUCCEEDED, Contact.ANSWERED, http_status=status, result=data, refused_rows=refused)


def _with_whole_points(kind: Kind, data: Any) -> Any:
    """Points as integers: a server that writes every number as a decimal says `6.0`, which is as whole as `6`."""
    name = _POINTS.get(kind)
    points = data.get(name) if isinstance(data, dict) else None
    if isinstance(points, Decimal) and abs(points) < MAX_BALANCE and points == points.to_integral_value():
        return {**data, name: int(points)}
    return data


def _has_expected_types(kind: Kind, data: Mapping[str, Any]) -> bool:
    def is_integer(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool)

    match kind:
        case Kind.SALE:
            return is_integer(data.get("awarded")) and isinstance(data.get("memberId"), str | None)
        case Kind.REFUND:
            return is_integer(data.get("clawedBack"))
        case Kind.ENROLLMENT | Kind.STORE:
            return isinstance(data.get("id"), str | None)
        case _:
            return True


def _later(status: int, body: Mapping[str, Any] | None, retry_after: float | None) -> Outcome:
    if body is None and retry_after is not None:
        retry_after = min(retry_after, STRANGERS_RETRY_AFTER_S)
    if status == 429:
        detail = "Flash asked to slow down."
        return Outcome(Fate.RETRY, Contact.THROTTLED, "throttled", detail, 429, retry_after_s=retry_after, unsent=True)
    code = wire.error_code(body or _EMPTY).lower().replace("_", "-") or "server-error"
    detail = f"The server answered {status}."
    return Outcome(Fate.RETRY, Contact.TROUBLED, code, detail, status, retry_after_s=retry_after)


def _no(  # noqa: PLR0911 - a table, one row a return
    kind: Kind, status: int, body: Mapping[str, Any], *, if_known: bool
) -> Outcome:
    code = wire.error_code(body)
    spelled = code.upper().replace("-", "_")  # a gateway may spell Flash's words its own way
    if status in {409, 422} and spelled in wire.IDEMPOTENCY_CONFLICT:
        return _failed("idempotency-conflict", "Flash has another request under this key.", status)
    if status in {400, 422} and kind is not Kind.REDEMPTION:
        return _failed("validation", _message(body) or "Flash refused the document.", status)
    if status == 404 and kind is Kind.REDEMPTION:
        detail = "The coupon is unknown or was redeemed already."
        return Outcome(Fate.DECLINED, Contact.ANSWERED, "coupon-not-redeemable", detail, 404, definitive=True)
    if status == 404 and kind is Kind.REFUND:
        fate = Fate.DECLINED if if_known else Fate.RETRY
        detail = "Flash does not know the order (yet)."
        return Outcome(fate, Contact.ANSWERED, ORDER_UNKNOWN, detail, 404, definitive=True)
    if status == 409 and wire.IN_FLIGHT.search(spelled):
        return Outcome(Fate.RETRY, Contact.ANSWERED, "conflict-in-flight", "Flash still works on this.", 409)
    if status == 409 and kind is Kind.SALE:
        if code:
            known = "order-conflict" if code == wire.ORDER_CONFLICT else code.lower().replace("_", "-")
            return _failed(known, _message(body) or "Flash has this order with another amount.", status)
        return Outcome(Fate.RETRY, Contact.ANSWERED, "conflict-unexplained", "Flash answered 409 without a code.", 409)
    if code:  # Flash's own voice, but not a word that the contract has for this call
        detail = f"Flash answered {status} {code[:60]}, which this call should not get."
        return Outcome(Fate.RETRY, Contact.TROUBLED, "unexpected-refusal", detail, status)
    return _not_flash(status, f"Flash does not answer {status} to this call; the address may be wrong.")


def _failed(code: str, detail: str, status: int) -> Outcome:
    return Outcome(Fate.FAILED, Contact.ANSWERED, code, detail, status, definitive=True)


def _not_flash(status: int, detail: str) -> Outcome:
    return Outcome(Fate.RETRY, Contact.UNREACHABLE, "unexpected-answer", detail, status)


def _message(body: Mapping[str, Any]) -> str:
    error = body.get("error")
    message = error.get("message") if isinstance(error, Mapping) else None
    if not isinstance(message, str):
        return ""
    if len(message) > _MAX_MESSAGE:
        message = message[:_MAX_MESSAGE].rpartition(" ")[0]  # half an address would not be known for one
    return scrubbed(message)


def judge_batch(
    parcels: Sequence[Parcel], status: int, body: bytes, *, retry_after: float | None = None
) -> list[Outcome] | Outcome:
    """An outcome for each item, or the one that befell the whole call.

    Items are matched by an echoed id where there is one, else by position when the counts agree. When neither is
    certain, or the whole call was refused, nothing is settled: `batch-refused`, and the items go singly.
    """
    kind = parcels[0].kind
    parsed = parse(body)
    if status in {200, 207}:
        items = parsed.get("data") if parsed else None
        if isinstance(items, list):
            matched = _match(parcels, items)
            if matched is None:
                return _batch_refused(status, "The results cannot be told apart.")
            return [_judge_item(parcel, item) for parcel, item in zip(parcels, matched, strict=True)]
        return _not_flash(status, "The answer is not a list of results.")
    if status in _REFUSED_WHOLE and parsed is not None:
        return _batch_refused(status, "Flash refused the batch.")
    outcome = judge_parsed(kind, status, parsed, retry_after=retry_after)
    if outcome.fate in {Fate.RETRY, Fate.HOLD}:
        return outcome
    return _not_flash(status, f"Flash does not answer {status} to a batch.")


def _batch_refused(status: int, detail: str) -> Outcome:
    return Outcome(Fate.RETRY, Contact.ANSWERED, BATCH_REFUSED, detail, status)


def _match(parcels: Sequence[Parcel], items: Sequence[Any]) -> list[Mapping[str, Any]] | None:
    """The results in the order of the parcels; None when which is whose is not certain."""
    if len(items) != len(parcels) or not all(_is_item(item) for item in items):
        return None
    echoed = [_echoed(parcels[0].kind, item) for item in items]
    if not any(echoed):
        return list(items)
    wanted = [_echoed(parcel.kind, {"data": jsons.loads(parcel.body)}) for parcel in parcels]
    places: dict[tuple[str, str], list[int]] = {}
    for place, theirs in enumerate(echoed):
        for name in theirs:
            places.setdefault(name, []).append(place)
    matched: list[int] = []
    for position, own in enumerate(wanted):
        by_id = {place for name in own for place in places.get(name, ())}
        if len(by_id) == 1:
            matched += by_id
        elif not by_id and not echoed[position]:
            matched.append(position)
        else:
            return None
    return [items[place] for place in matched] if len(set(matched)) == len(matched) else None


def _is_item(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("status"), int) and not isinstance(item["status"], bool)


def _echoed(kind: Kind, item: Mapping[str, Any]) -> set[tuple[str, str]]:
    found = set()
    for place in (item, item.get("data")):
        if isinstance(place, Mapping):
            for name in wire.ECHOED_IDS[kind]:
                if isinstance(value := place.get(name), str):
                    found.add((name, value.strip().casefold() if name == "email" else value))
    return found


def _judge_item(parcel: Parcel, item: Mapping[str, Any]) -> Outcome:
    """One item by the same table; its own 401, 403, 429 or 5xx puts that item back and says nothing of the line."""
    body = {name: item[name] for name in ("data", "error") if item.get(name) is not None}
    outcome = judge_parsed(parcel.kind, item["status"], body)
    if outcome.contact is Contact.ANSWERED:
        return outcome
    return Outcome(Fate.RETRY, Contact.ANSWERED, outcome.code, outcome.detail, outcome.http_status)
