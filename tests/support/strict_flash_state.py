"""How Flash answers a sound request: what it commits, refuses and shows."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any

from tests.support.strict_flash_book import Book, Result, Row, Tenant
from tests.support.strict_flash_contract import FIELDS, item_faults
from tests.support.strict_flash_wire import BATCHES, NO_BODY, Answer, Request, error, natural

EARN_RATE = Decimal("0.05")
CATALOG_ORDER = ("brands", "categories", "products", "variants", "inventory")
CATALOG_REFERENCES = {  # entity: field, what it names, by which of its fields
    "products": (("brandExternalId", "brands", "externalId"), ("categoryExternalId", "categories", "externalId")),
    "variants": (("productExternalId", "products", "externalId"),),
    "inventory": (("variantSku", "variants", "sku"),),
}
UNSETTLED_ITEMS = (401, 403, 408, 425, 429)


@dataclass
class Scripted:
    """An answer told in advance for one order id, instead of, or after, the real one."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    commit: bool = False
    remembered: bool = False  # replayed for its Idempotency-Key, as real refusals are


def refusal(status: int, code: str, message: str = "") -> Result:
    return status, error(status, code, message).body


class State(Book):
    """The book, and the answers. What a test may set decides what kind of Flash this is."""

    def __init__(self, path: Path | None, *, natural_keys: bool = True) -> None:
        super().__init__(path)
        self.natural_keys = natural_keys  # False: orders and refunds are deduplicated by Idempotency-Key alone
        self.cursors = True  # False: a list has no nextCursor
        self.member_detail = True  # False: GET /members/{id} is 404
        self.tells_refunds = True  # False: an order's row does not say what was refunded
        self.tells_total = True
        self.overlap = 0  # so many rows of the page before come again on each page of a list
        self.endless = False  # True: a list's last page leads to itself, each time by another cursor
        self.between_pages: Callable[[], None] = lambda: None  # called when a page of a list has been made
        self.hide_used_coupons = False
        self.overlooks_filters = False  # True: GET /members lists everybody, whoever is asked for
        self.refused_rows: dict[str, str] = {}  # rows of a catalog that are not taken, and why
        self.keep_partial_batches = False  # True: a 207 holding a 429 or 5xx item is replayed too
        self._pages_again = 0

    # --- writes

    def perform(self, request: Request, tenant: str, scripted: Mapping[str, Scripted]) -> Answer:
        """Answer a sound write: the remembered answer of its key, or a new one committed with its effects."""
        told = scripted.get(request.json["externalOrderId"]) if request.route == "POST /orders" else None
        known = self.answers.get((tenant, request.key))
        if known is not None and (told is None or told.remembered):
            return Answer(*known)
        self._fresh = []
        status, body = self._write(request, tenant, scripted)
        line: Row = {"effects": self._fresh} if self._fresh else {}
        if request.key and (told is None or told.remembered) and (self.keep_partial_batches or _settled(status, body)):
            self.answers[tenant, request.key] = status, body
            line["answer"] = [tenant, request.key, status, body]
        if line:
            self._append(**line)
        return Answer(status, body, dict(told.headers) if told else {})

    def _write(  # noqa: PLR0911
        self, request: Request, tenant: str, scripted: Mapping[str, Scripted]
    ) -> Result:
        if request.route in BATCHES:
            name, kind = BATCHES[request.route]
            single = self._order if kind == "order" else self._member
            return 207, {"data": [_item(*single(request, tenant, i, scripted)) for i in request.json[name]]}
        match request.route:
            case "POST /orders":
                return self._order(request, tenant, request.json, scripted)
            case "POST /orders/{id}/refund":
                return self._refund(request, tenant, request.args[0], request.json)
            case "POST /members":
                return self._member(request, tenant, request.json, {})
            case "POST /catalog/import":
                return self._catalog(request, tenant, request.json)
            case route if route == NO_BODY:
                return self._redeem(request, tenant, request.args[0])
        return self._store(request, tenant, request.json)

    def _order(self, request: Request, tenant: str, body: Any, scripted: Mapping[str, Scripted]) -> Result:
        for text, fatal in item_faults("order", body):
            if fatal:
                return refusal(422, "VALIDATION", text)
        told = scripted.get(body["externalOrderId"])
        if told is None or told.commit:
            result = self._real_order(request, tenant, body)
            if told is None:
                return result
        return told.status, told.body

    def _real_order(self, request: Request, tenant: str, body: Row) -> Result:
        known, amount = self.tenant(tenant), Decimal(body["totalAmount"])
        if self.natural_keys and (earlier := known.orders.get(body["externalOrderId"])):
            if Decimal(earlier["totalAmount"]) != amount:
                return refusal(409, "ORDER_CONFLICT", "orders are immutable")
            return 200, {"data": earlier["result"]}
        if body.get("storeId") and body["storeId"] not in known.stores:
            return refusal(422, "VALIDATION", "no such store")
        member = known.member(**body["customer"])
        awarded = int((amount * EARN_RATE).to_integral_value(ROUND_FLOOR)) if member else 0
        data: Row = {"awarded": 0, "reason": "not-a-member"}
        if member:
            data = {"awarded": awarded, "balance": member["points"] + awarded, "memberId": member["id"]}
        row = {"externalOrderId": body["externalOrderId"], "totalAmount": str(amount), "awarded": awarded}
        row |= {"memberId": member and member["id"], "storeId": body.get("storeId"), "updatedAt": self.now()}
        row |= {"refunded": "0", "clawed": 0, "result": data}
        self._emit(request, tenant, "award" if member else "not-a-member", natural("order", body), row, awarded)
        return 200, {"data": data}

    def _refund(self, request: Request, tenant: str, order_id: str, body: Row) -> Result:
        known = self.tenant(tenant)
        order = known.orders.get(order_id)
        if order is None:
            return refusal(404, "NOT_FOUND", "no such order")
        total = Decimal(order["totalAmount"])
        left = total - Decimal(order["refunded"])
        amount = Decimal(body.get("amount", left))
        if self.natural_keys and (earlier := known.refunds.get((order_id, body["refundId"]))):
            if "amount" in body and Decimal(earlier["amount"]) != amount:
                self.violate(f"#{request.number} {natural('refund', body, order_id)} sent with another amount")
            return 200, {"data": earlier["result"]}
        if not 0 < amount <= left:
            return refusal(422, "VALIDATION", "more than is left of the order")
        share = order["awarded"] * (total - left + amount) / total
        clawed = int(share.to_integral_value(ROUND_FLOOR)) - order["clawed"]
        member = known.members.get(order["memberId"] or "")
        data = {"clawedBack": clawed, "balance": member["points"] - clawed if member else 0}
        row = {"order": order_id, "refundId": body["refundId"], "amount": str(amount), "clawedBack": clawed}
        row |= {"memberId": order["memberId"], "updatedAt": self.now(), "result": data}
        self._emit(request, tenant, "refund", natural("refund", body, order_id), row, -clawed)
        return 200, {"data": data}

    def _member(self, request: Request, tenant: str, body: Any, _: Mapping[str, Scripted]) -> Result:
        for text, fatal in item_faults("member", body):
            if fatal:
                return refusal(422, "VALIDATION", text)
        known = self.tenant(tenant)
        key = {"externalId": body["externalId"]} if body.get("externalId") else {"email": body["email"]}
        found = known.member(**key)
        row = {name: body[name] for name in FIELDS["member"] & body.keys()} | {"updatedAt": self.now()}
        row["id"] = found["id"] if found else f"mem_{tenant}_{len(known.members) + 1}"
        self._emit(request, tenant, "member" if found else "enroll", natural("member", body), row)
        return 200 if found else 201, {"data": known.members[row["id"]].copy()}

    def _redeem(self, request: Request, tenant: str, coupon_id: str) -> Result:
        coupon = self.tenant(tenant).coupons.get(coupon_id)
        if coupon is None or coupon["used"] >= coupon["uses"]:
            return refusal(404, "NOT_FOUND", "not found or already redeemed")
        self._emit(request, tenant, "redeem", f"coupon:{coupon_id}", {"id": coupon_id})
        return 200, {"data": {"id": coupon_id, "status": "redeemed"}}

    def _store(self, request: Request, tenant: str, body: Row) -> Result:
        stores = self.tenant(tenant).stores
        by_external = next((s for s in stores.values() if s.get("externalId") == body["externalId"]), None)
        found = stores.get(request.args[0]) if request.args else by_external
        if request.args and found is None:
            return refusal(404, "NOT_FOUND", "no such store")
        row = {name: body[name] for name in FIELDS["store"] & body.keys()} | {"updatedAt": self.now()}
        row["id"] = found["id"] if found else f"st_{tenant}_{len(stores) + 1}"
        self._emit(request, tenant, "store", natural("store", body), row)
        return 200 if found else 201, {"data": stores[row["id"]].copy()}

    def _catalog(self, request: Request, tenant: str, body: Row) -> Result:
        data: Row = {}
        errors: list[Row] = []
        for entity in (name for name in CATALOG_ORDER if name in body):
            have, rows = self.tenant(tenant).catalog.get(entity, {}), {}
            known = self._referred_to(tenant, entity)
            for index, item in enumerate(body[entity]):
                name = _row_name(entity, item)
                fault = "no id" if name is None else self._row_fault(item, name, known)
                if fault:
                    errors.append({"entity": entity, "index": index, "message": fault})
                else:
                    rows[name] = {k: float(v) if isinstance(v, Decimal) else v for k, v in item.items()} | {"id": name}
            updated = len(rows.keys() & have.keys())
            data[entity] = {"inserted": len(rows) - updated, "updated": updated}
            self._emit(request, tenant, "catalog", natural("catalog", body), {"entity": entity, "rows": rows})
        return 200, {"data": {**data, "errors": errors}}

    def _referred_to(self, tenant: str, entity: str) -> dict[str, tuple[str, set[Any]]]:
        """By the field that refers: to which entity, and what there is of it."""
        catalog = self.tenant(tenant).catalog
        return {
            name: (elsewhere, {row.get(known_by) for row in catalog.get(elsewhere, {}).values()})
            for name, elsewhere, known_by in CATALOG_REFERENCES.get(entity, ())
        }

    def _row_fault(self, item: Row, name: str, known: Mapping[str, tuple[str, set[Any]]]) -> str:
        """Why a row is not taken: it was told so, or what it refers to is not there."""
        if name in self.refused_rows:
            return self.refused_rows[name]
        for each, (elsewhere, there) in known.items():
            if each in item and item[each] not in there:
                return f"{each} is not among the {elsewhere}"
        return ""

    # --- reads

    def read(self, request: Request, tenant: str) -> Answer:  # noqa: PLR0911
        known, resource, query = self.tenant(tenant), request.route.split("/")[1], request.query
        if resource == "orders":
            return self._page(query, map(self._order_row, known.orders.values()))
        if resource != "members":
            rows = known.stores if resource == "stores" else known.catalog.get(resource, {})
            if not request.args:
                return Answer(200, {"data": list(rows.values()), "total": len(rows)})
            found = rows.get(request.args[0])
            return Answer(200, {"data": found}) if found else error(404, "NOT_FOUND")
        if not request.args:
            if ("externalId" in query or "email" in query) and not self.overlooks_filters:
                one = known.member(externalId=query.get("externalId"), email=query.get("email"))
                return Answer(200, {"data": [one] if one else [], "total": int(one is not None)})
            return self._page(query, known.members.values())
        member = known.members.get(request.args[0])
        if member is None or (request.route == "GET /members/{id}" and not self.member_detail):
            return error(404, "NOT_FOUND")
        match request.route.rpartition("/")[2]:
            case "points":
                return Answer(200, {"data": {"balance": member["points"]}})
            case "tier":
                return Answer(200, {"data": {"name": member.get("tier", "Base")}})
            case "coupons":
                return Answer(200, {"data": self._coupons(known, member["id"])})
        return Answer(200, {"data": member})

    def _order_row(self, order: Row) -> Row:
        shown = {n: order[n] for n in ("externalOrderId", "storeId", "memberId", "awarded", "updatedAt")}
        refunded = {"refundedAmount": float(order["refunded"])} if self.tells_refunds else {}
        return {**shown, "totalAmount": float(order["totalAmount"]), **refunded}

    def _coupons(self, known: Tenant, member_id: str) -> list[Row]:
        mine = [c for c in known.coupons.values() if c.get("memberId") == member_id]
        listed = [{**c, "status": "active" if c["used"] < c["uses"] else "redeemed"} for c in mine]
        return [c for c in listed if c["status"] == "active" or not self.hide_used_coupons]

    def _page(self, query: Mapping[str, str], rows: Iterable[Row]) -> Answer:
        try:
            since = datetime.fromisoformat(query.get("updatedSince", "1970-01-01T00:00:00Z"))
            limit, start = int(query.get("limit", "200")), int(query.get("cursor", "0").partition("-")[0])
            found = sorted(
                (r for r in rows if datetime.fromisoformat(r["updatedAt"]) >= since),
                key=lambda r: r["updatedAt"],
            )
        except (TypeError, ValueError) as fault:
            return error(422, "VALIDATION", str(fault))
        if not 1 <= limit <= 200:
            return error(422, "VALIDATION", "limit")
        page: Row = {"data": found[max(0, start - self.overlap) : start + limit]}
        page |= {"total": len(found)} if self.tells_total else {}
        if self.cursors and start + limit < len(found):
            page["nextCursor"] = str(start + limit)
        elif self.cursors and self.endless:
            self._pages_again += 1
            page["nextCursor"] = f"{start}-{self._pages_again}"
        self.between_pages()
        return Answer(200, page)


def _item(status: int, body: Any) -> Row:
    return {"status": status, **(body if isinstance(body, dict) else {})}


def _row_name(entity: str, item: Any) -> str | None:
    names = ("variantSku", "locationRef") if entity == "inventory" else ("externalId",)
    parts = [item.get(name) for name in names] if isinstance(item, dict) else [None]
    return "@".join(parts) if all(isinstance(part, str) and part for part in parts) else None


def _settled(status: int, body: Any) -> bool:
    return status < 500 and not (
        status == 207 and any(i["status"] >= 500 or i["status"] in UNSETTLED_ITEMS for i in body["data"])
    )
