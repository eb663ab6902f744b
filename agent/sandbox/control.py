"""The trainer's side door, `/_sandbox/…`: order and clear faults, read the audit log and the points ledger.

It needs no key and is never faulted, so it answers loopback callers alone, addressed by a loopback name (a
web page that points a name of its own at this machine gets 404), and takes bodies only as JSON, which such a
page cannot send.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from agent.sandbox import wire
from agent.sandbox.audit import AuditLog
from agent.sandbox.calls import Answer
from agent.sandbox.faults import Fault, Faults
from agent.sandbox.gate import CONTROL_PATH, respond
from agent.sandbox.refusals import Refusal, not_found
from agent.sandbox.state import DEFAULT_TENANT, State


@dataclass(frozen=True, slots=True)
class Control:
    state: State
    faults: Faults
    audit: AuditLog

    def add_routes(self, router: web.UrlDispatcher) -> None:
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/audit", self._listing(self._audit_rows)),
            ("GET", "/ledger", self._listing(self._ledger_rows)),
            ("GET", "/faults", self._listing(self._fault_rows)),
            ("POST", "/faults", self._order),
            ("DELETE", "/faults", self._clear),
        ]
        for method, path, handler in table:
            router.add_route(method, f"{CONTROL_PATH}{path}", handler)

    def _listing(self, rows: Callable[[web.Request], list[dict[str, Any]]]) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            _require_loopback(request)
            return respond(Answer.listing(rows(request)))

        return handle

    def _audit_rows(self, _request: web.Request) -> list[dict[str, Any]]:
        return [entry.view() for entry in self.audit]

    def _ledger_rows(self, request: web.Request) -> list[dict[str, Any]]:
        tenant = request.query.get("tenant", DEFAULT_TENANT)
        try:
            entries = self.state.ledger(tenant=tenant, member_id=request.query.get("memberId"))
        except KeyError as error:
            raise not_found("TENANT_NOT_FOUND", "no such tenant") from error
        return [entry.view() for entry in entries]

    def _fault_rows(self, _request: web.Request) -> list[dict[str, Any]]:
        return [_view(fault) for fault in self.faults.active()]

    async def _order(self, request: web.Request) -> web.StreamResponse:
        _require_loopback(request)
        if request.content_type != "application/json":
            raise Refusal(415, "UNSUPPORTED_MEDIA_TYPE", "a body must be application/json")
        fault = wire.validate(Fault, wire.loads_object(await request.read()))
        return respond(Answer.data(_view(self.faults.add(fault)), 201))

    async def _clear(self, request: web.Request) -> web.StreamResponse:
        _require_loopback(request)
        self.faults.clear()
        return respond(Answer.data([]))


def _view(fault: Fault) -> dict[str, Any]:
    return fault.model_dump(by_alias=True, exclude_defaults=True)


def _require_loopback(request: web.Request) -> None:
    if not (_is_loopback(request.remote) and _is_loopback(request.url.host)):
        raise not_found("NOT_FOUND", "Not Found")


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
