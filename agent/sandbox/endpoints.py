"""Flash v2's endpoints: one thin function each, and the table that routes to them."""

from collections.abc import Callable
from typing import Any

from agent.sandbox import assumed, wire
from agent.sandbox.calls import Answer, Call, Endpoint
from agent.sandbox.catalog_rows import Import
from agent.sandbox.documents import (
    Feed,
    MemberBody,
    MemberQuery,
    NoQuery,
    OrderBody,
    RefundBody,
    StoreBody,
    StoreChange,
)
from agent.sandbox.feed import page
from agent.sandbox.keys import Scope
from agent.sandbox.refusals import Refusal, invalid

BATCH_LIMIT = 100


def post_order(call: Call) -> Answer:
    return _place(call, call.document(OrderBody))


def post_orders_batch(call: Call) -> Answer:
    return _batch(call, assumed.ORDERS_BATCH_KEY, lambda item: _place(call, wire.validate(OrderBody, item)))


def post_refund(call: Call) -> Answer:
    return Answer.data(call.tenant.orders.refund(call.path_args["order_id"], call.document(RefundBody)))


def get_orders(call: Call) -> Answer:
    feed = call.parameters(Feed)
    shown, total, following = page(
        call.tenant.orders.all(), since=feed.updated_since, cursor=feed.cursor, limit=feed.limit
    )
    return Answer(200, assumed.feed_envelope([order.view() for order in shown], total, following))


def post_member(call: Call) -> Answer:
    return _enrol(call, call.document(MemberBody))


def post_members_batch(call: Call) -> Answer:
    return _batch(call, "members", lambda item: _enrol(call, wire.validate(MemberBody, item)))


def get_members(call: Call) -> Answer:
    query = call.parameters(MemberQuery)
    found = call.tenant.members.find(query.external_id, query.email)
    shown, total, following = page(found, since=query.updated_since, cursor=query.cursor, limit=query.limit)
    return Answer(200, assumed.feed_envelope([member.view() for member in shown], total, following))


def get_member(call: Call) -> Answer:
    return Answer.data(call.tenant.members.get(call.path_args["member_id"]).view())


def get_points(call: Call) -> Answer:
    member = call.tenant.members.get(call.path_args["member_id"])
    return Answer.data(assumed.points_view(call.tenant.ledger.balance(member.id)))


def get_tier(call: Call) -> Answer:
    member = call.tenant.members.get(call.path_args["member_id"])
    return Answer.data(assumed.tier_view(member.tier, call.tenant.rules.tiers[member.tier]))


def get_coupons(call: Call) -> Answer:
    member = call.tenant.members.get(call.path_args["member_id"])
    return Answer.listing(call.tenant.coupons.of_member(member.id))


def post_redeem(call: Call) -> Answer:
    if call.body and wire.loads_object(call.body):
        raise invalid("body", "a redemption takes none")
    return Answer.data(call.tenant.coupons.redeem(call.path_args["coupon_id"]))


def post_store(call: Call) -> Answer:
    store, created = call.tenant.stores.upsert(call.document(StoreBody))
    return Answer.data(store.view(), 201 if created else 200)


def put_store(call: Call) -> Answer:
    changed = call.tenant.stores.change(call.path_args["store_id"], call.document(StoreChange))
    return Answer.data(changed.view())


def get_stores(call: Call) -> Answer:
    call.parameters(NoQuery)
    return Answer.listing([store.view() for store in call.tenant.stores.all()])


def post_catalog_import(call: Call) -> Answer:
    return Answer.data(call.tenant.catalog.run_import(call.document(Import)))


def get_product(call: Call) -> Answer:
    return Answer.data(call.tenant.catalog.product(call.path_args["product_id"]))


def _catalog_listing(entity: str) -> Callable[[Call], Answer]:
    def listing(call: Call) -> Answer:
        call.parameters(NoQuery)
        return Answer.listing(call.tenant.catalog.listing(entity))

    return listing


def _place(call: Call, body: OrderBody) -> Answer:
    return Answer.data(call.tenant.orders.place(body, cap_available=call.cap_available))


def _enrol(call: Call, body: MemberBody) -> Answer:
    member, created = call.tenant.members.upsert(body)
    return Answer.data(member.view(), 201 if created else 200)


def _batch(call: Call, key: str, run: Callable[[Any], Answer]) -> Answer:
    """Each item on its own, in order; the batch itself is refused only when it is no batch."""
    document = wire.loads_object(call.body)
    items = document.get(key)
    if set(document) != {key} or not isinstance(items, list):
        raise invalid(key, "must be a list, and the only field")
    if not 1 <= len(items) <= BATCH_LIMIT:
        raise invalid(key, f"must hold 1 to {BATCH_LIMIT} items")
    answers = [_item(run, item) for item in items]
    results = [assumed.batch_item(answer.status, answer.payload) for answer in answers]
    return Answer(207, {"data": results}, held=not all(answer.is_final for answer in answers))


def _item(run: Callable[[Any], Answer], item: Any) -> Answer:
    try:
        return run(item)
    except Refusal as refusal:
        return Answer.refused(refusal)


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("POST", "/orders", Scope.ORDERS_WRITE, post_order),
    Endpoint("GET", "/orders", Scope.ORDERS_READ, get_orders),
    Endpoint("POST", "/orders/batch", Scope.ORDERS_WRITE, post_orders_batch),
    Endpoint("POST", "/orders/{order_id}/refund", Scope.ORDERS_WRITE, post_refund),
    Endpoint("POST", "/members", Scope.MEMBERS_WRITE, post_member),
    Endpoint("GET", "/members", Scope.MEMBERS_READ, get_members),
    Endpoint("POST", "/members/batch", Scope.MEMBERS_WRITE, post_members_batch),
    Endpoint("GET", "/members/{member_id}", Scope.MEMBERS_READ, get_member),
    Endpoint("GET", "/members/{member_id}/points", Scope.MEMBERS_READ, get_points),
    Endpoint("GET", "/members/{member_id}/tier", Scope.MEMBERS_READ, get_tier),
    Endpoint("GET", "/members/{member_id}/coupons", Scope.COUPONS_READ, get_coupons),
    Endpoint("POST", "/coupons/{coupon_id}/redeem", Scope.COUPONS_REDEEM, post_redeem),
    Endpoint("POST", "/stores", Scope.STORES_WRITE, post_store),
    Endpoint("GET", "/stores", Scope.STORES_READ, get_stores),
    Endpoint("PUT", "/stores/{store_id}", Scope.STORES_WRITE, put_store),
    Endpoint("POST", "/catalog/import", Scope.CATALOG_WRITE, post_catalog_import),
    Endpoint("GET", "/products", Scope.CATALOG_READ, _catalog_listing("products")),
    Endpoint("GET", "/products/{product_id}", Scope.CATALOG_READ, get_product),
    Endpoint("GET", "/categories", Scope.CATALOG_READ, _catalog_listing("categories")),
    Endpoint("GET", "/brands", Scope.CATALOG_READ, _catalog_listing("brands")),
)
