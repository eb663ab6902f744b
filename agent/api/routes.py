"""The route table: every call of the local API, sorted by path and method, with what it takes and gives.

The server is built from it and so is the OpenAPI document; a test holds that it is sorted and complete.
"""

from collections.abc import Awaitable, Callable, Mapping

import msgspec
from pydantic import BaseModel

from agent.api import web
from agent.api.bodies import Close, Discard, DrillOrder, FlashKeyOrder, MemberKeys, TokenOrder
from agent.api.calls import Call
from agent.api.handlers import (
    accepting,
    diagnostics,
    documents,
    flash_orders,
    keys,
    members,
    operations,
    redemptions,
    rescue,
    till,
    tokens,
)
from agent.masterdata import Catalog, Store
from agent.model import BasketVoid, Enrollment, Redemption, Refund, Sale
from agent.tokens import Scope


class Parameter(msgspec.Struct, frozen=True):
    """A query or path parameter, or a header, for the OpenAPI document."""

    name: str
    place: str
    text: str


class Route(msgspec.Struct, frozen=True):
    """One call. `answers` maps statuses other than problems to the names of their models (None: not JSON).

    Names, for models of answers only describe them, in the OpenAPI document: a till need not load what nobody reads.
    """

    path: str
    method: str
    scope: Scope
    handler: Callable[[Call], Awaitable[web.StreamResponse]]
    answers: Mapping[int, str | None]
    body: type[BaseModel] | None = None
    parameters: tuple[Parameter, ...] = ()
    problems: tuple[int, ...] = ()
    media: str = "text/plain"  # of an answer without a model
    takes: str | None = None  # a body that is not JSON of ours, in words


_ID = Parameter("id", "path", "The operation's id.")
_PREFER = Parameter("Prefer", "header", "`wait=S`: hold the answer up to S seconds (30 at most). `handling=strict`.")
_PREFER_3 = Parameter("Prefer", "header", "`wait=S`: as elsewhere, but 3 seconds by default. `handling=strict`.")
_KEY = Parameter("Idempotency-Key", "header", "The register's own key: the same one returns the same operation.")
_LANGUAGE = Parameter("Accept-Language", "header", "The language of `receipt`: en, de, fr, es, zh or ja.")
_HEADERS = (_PREFER, _KEY, _LANGUAGE)
_LAST_EVENT = Parameter("Last-Event-ID", "header", "The id of the last event that was heard: what came since is told.")
_ACCEPT: Mapping[int, str | None] = {200: "OperationView", 202: "OperationView"}
_ACCEPT_PROBLEMS = (400, 408, 409, 413, 415, 422, 503, 507)
_MEMBER_KEYS = (
    Parameter("memberId", "query", "Flash's id."),
    Parameter("externalId", "query", "The store's own id of the member."),
    Parameter("email", "query", "The e-mail address; upper and lower case are the same."),
)
_LIST = (
    Parameter("status", "query", "Only this status."),
    Parameter("kind", "query", "Only this kind."),
    Parameter("externalOrderId", "query", "The sale's order id as the register sent it; refunds of it too."),
    Parameter("transactionId", "query", "The basket."),
    Parameter("businessDate", "query", "The business date."),
    Parameter("limit", "query", "How many at most: 1 to 200, 50 by default."),
    Parameter("cursor", "query", "`nextCursor` of the page before."),
)

ROUTES: tuple[Route, ...] = (
    Route("/healthz", "GET", Scope.PUBLIC, till.get_healthz, {200: "HealthView"}),
    Route("/metrics", "GET", Scope.OPERATOR, till.get_metrics, {200: None}, problems=(503,)),
    Route("/readyz", "GET", Scope.PUBLIC, till.get_readyz, {200: "HealthView"}, problems=(503,)),
    Route("/v1/adapters", "GET", Scope.REGISTER, documents.list_adapters, {200: "AdapterList"}),
    Route("/v1/catalogs", "POST", Scope.OPERATOR, accepting.post_catalog, _ACCEPT, Catalog, _HEADERS, _ACCEPT_PROBLEMS),
    Route(
        "/v1/data-key/rotate",
        "POST",
        Scope.OPERATOR,
        keys.rotate_data_key,
        {200: "DataKeyView"},
        problems=(409, 503),
    ),
    Route(
        "/v1/diagnostics",
        "GET",
        Scope.OPERATOR,
        diagnostics.get_diagnostics,
        {200: "DiagnosticsView"},
        problems=(503,),
    ),
    Route(
        "/v1/documents/{adapter}",
        "POST",
        Scope.REGISTER,
        documents.post_document,
        {200: "DocumentView"},
        parameters=(
            Parameter("adapter", "path", "The system's name, such as `poslog`; GET /v1/adapters lists them."),
            Parameter("dryRun", "query", "`true`: show what would be sent; nothing is stored."),
            Parameter("origin", "query", "With `canonical`: the adapter that read the document before it was sent."),
            Parameter("file", "query", "The name of the file, kept with each operation as metadata."),
            _LANGUAGE,
        ),
        problems=(400, 404, 408, 409, 413, 415, 422, 503, 507),
        takes="the system's own",
    ),
    Route("/v1/drill", "DELETE", Scope.OPERATOR, till.stop_drill, {200: "DrillView"}),
    Route("/v1/drill", "GET", Scope.REGISTER, till.get_drill, {200: "DrillView"}),
    Route(
        "/v1/drill",
        "POST",
        Scope.OPERATOR,
        till.start_drill,
        {200: "BegunDrillView"},
        DrillOrder,
        problems=(400, 408, 413, 415, 422),
    ),
    Route(
        "/v1/enrollments",
        "POST",
        Scope.REGISTER,
        accepting.post_enrollment,
        _ACCEPT,
        Enrollment,
        _HEADERS,
        _ACCEPT_PROBLEMS,
    ),
    Route(
        "/v1/events",
        "GET",
        Scope.REGISTER,
        till.get_events,
        {200: None},
        parameters=(_LAST_EVENT,),
        problems=(429, 503),
        media="text/event-stream",
    ),
    Route(
        "/v1/exposure",
        "GET",
        Scope.REGISTER,
        redemptions.get_exposure,
        {200: "ExposureView"},
        parameters=(Parameter("businessDate", "query", "The day: YYYY-MM-DD; the till's today where it is left out."),),
        problems=(400, 422, 503),
    ),
    Route(
        "/v1/flash-orders",
        "GET",
        Scope.OPERATOR,
        flash_orders.list_flash_orders,
        {200: "FlashOrdersView"},
        parameters=(
            Parameter("updatedSince", "query", "From when on: RFC 3339. Required without a cursor."),
            Parameter("cursor", "query", "`nextCursor` of the page before."),
        ),
        problems=(400, 422, 503),
    ),
    Route("/v1/key", "GET", Scope.OPERATOR, keys.list_flash_keys, {200: "FlashKeyList"}, problems=(503,)),
    Route(
        "/v1/key",
        "POST",
        Scope.OPERATOR,
        keys.give_flash_key,
        {200: "GivenKeyView"},
        FlashKeyOrder,
        problems=(400, 408, 409, 413, 415, 422, 503, 507),
    ),
    Route(
        "/v1/key/confirm",
        "POST",
        Scope.OPERATOR,
        keys.confirm_flash_key,
        {200: "StatusView"},
        problems=(409, 503, 507),
    ),
    Route(
        "/v1/key/reload",
        "POST",
        Scope.OPERATOR,
        keys.reload_flash_keys,
        {200: "FlashKeyList"},
        problems=(409, 503, 507),
    ),
    Route(
        "/v1/members",
        "GET",
        Scope.REGISTER,
        members.find_member,
        {200: "MemberView"},
        parameters=_MEMBER_KEYS,
        problems=(400, 404, 422, 503),
    ),
    Route(
        "/v1/members/forget",
        "POST",
        Scope.OPERATOR,
        members.forget_member,
        {200: "ForgottenView"},
        MemberKeys,
        problems=(400, 408, 413, 415, 422, 503, 507),
    ),
    Route(
        "/v1/members/{memberId}",
        "GET",
        Scope.REGISTER,
        members.get_member,
        {200: "MemberView"},
        parameters=(Parameter("memberId", "path", "Flash's id."),),
        problems=(400, 404, 422, 503),
    ),
    Route(
        "/v1/operations",
        "GET",
        Scope.REGISTER,
        operations.list_operations,
        {200: "OperationList"},
        parameters=(*_LIST, _LANGUAGE),
        problems=(400, 422, 503),
    ),
    Route(
        "/v1/operations/{id}",
        "GET",
        Scope.REGISTER,
        operations.get_operation,
        {200: "OperationView"},
        parameters=(_ID, _LANGUAGE),
        problems=(404, 503),
    ),
    Route(
        "/v1/operations/{id}/close",
        "POST",
        Scope.OPERATOR,
        redemptions.close_operation,
        {200: "OperationView"},
        Close,
        (_ID,),
        (400, 404, 408, 409, 413, 415, 422, 503, 507),
    ),
    Route(
        "/v1/operations/{id}/discard",
        "POST",
        Scope.OPERATOR,
        operations.discard_operation,
        {200: "DiscardView"},
        Discard,
        (_ID, _LANGUAGE),
        (400, 404, 408, 409, 413, 415, 422, 503, 507),
    ),
    Route(
        "/v1/operations/{id}/retry",
        "POST",
        Scope.OPERATOR,
        operations.retry_operation,
        {200: "OperationView"},
        parameters=(_ID, _LANGUAGE),
        problems=(404, 409, 503, 507),
    ),
    Route(
        "/v1/redemptions",
        "POST",
        Scope.REGISTER,
        redemptions.post_redemption,
        {200: "RedemptionView", 202: "RedemptionView"},
        Redemption,
        (_PREFER_3, _KEY, _LANGUAGE),
        _ACCEPT_PROBLEMS,
    ),
    Route(
        "/v1/redemptions/void",
        "POST",
        Scope.REGISTER,
        redemptions.void_basket,
        {200: "BasketVoidView"},
        BasketVoid,
        problems=(400, 408, 413, 415, 422, 503, 507),
    ),
    Route("/v1/refunds", "POST", Scope.REGISTER, accepting.post_refund, _ACCEPT, Refund, _HEADERS, _ACCEPT_PROBLEMS),
    Route(
        "/v1/rescue",
        "POST",
        Scope.OPERATOR,
        rescue.take_rescue,
        {200: "RescueView"},
        problems=(400, 408, 409, 413, 415, 422, 503, 507),
        takes="a part of what flash-agent rescue import read, as JSON",
    ),
    Route("/v1/sales", "POST", Scope.REGISTER, accepting.post_sale, _ACCEPT, Sale, _HEADERS, _ACCEPT_PROBLEMS),
    Route("/v1/status", "GET", Scope.REGISTER, till.get_status, {200: "StatusView"}, problems=(503,)),
    Route("/v1/stores", "POST", Scope.OPERATOR, accepting.post_store, _ACCEPT, Store, _HEADERS, _ACCEPT_PROBLEMS),
    Route(
        "/v1/summary",
        "GET",
        Scope.REGISTER,
        till.get_summary,
        {200: "SummaryView"},
        parameters=(Parameter("businessDate", "query", "The day: YYYY-MM-DD."),),
        problems=(400, 410, 422, 503),
    ),
    Route("/v1/sync", "GET", Scope.REGISTER, members.get_sync, {200: "SyncView"}, problems=(503,)),
    Route(
        "/v1/sync",
        "POST",
        Scope.OPERATOR,
        members.start_sync,
        {200: "SyncView"},
        problems=(503,),
    ),
    Route("/v1/tokens", "GET", Scope.OPERATOR, tokens.list_tokens, {200: "TokenList"}),
    Route(
        "/v1/tokens",
        "POST",
        Scope.OPERATOR,
        tokens.create_token,
        {201: "NewTokenView"},
        TokenOrder,
        problems=(400, 408, 409, 413, 415, 422, 503, 507),
    ),
    Route(
        "/v1/tokens/{token}",
        "DELETE",
        Scope.OPERATOR,
        tokens.revoke_token,
        {200: "TokenView"},
        parameters=(Parameter("token", "path", "The token's name or id."),),
        problems=(404, 503, 507),
    ),
)
