"""A call as the endpoints see it, and the answer they give: no HTTP library in sight."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

from agent.sandbox import assumed, wire
from agent.sandbox.keys import Scope
from agent.sandbox.refusals import Refusal
from agent.sandbox.state import Tenant

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a tenant. `cap_available` is false while the daily cap's counter is out of reach."""

    tenant: Tenant
    path_args: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    cap_available: bool = True

    def document(self, model: type[Model]) -> Model:
        return wire.validate(model, wire.loads_object(self.body))

    def parameters(self, model: type[Model]) -> Model:
        return wire.validate(model, dict(self.query), inside="query")


@dataclass(frozen=True, slots=True)
class Answer:
    """`held` marks a batch with an item that Flash has not decided on: it is not kept for a replay."""

    status: int
    payload: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    held: bool = False

    @classmethod
    def data(cls, data: Any, status: int = 200) -> "Answer":
        return cls(status, {"data": data})

    @property
    def is_final(self) -> bool:
        return assumed.is_remembered(self.status) and not self.held

    @classmethod
    def listing(cls, rows: list[dict[str, Any]]) -> "Answer":
        return cls(200, {"data": rows, "total": len(rows)})

    @classmethod
    def refused(cls, refusal: Refusal) -> "Answer":
        return cls(refusal.status, assumed.error_envelope(refusal.code, refusal.message), refusal.headers)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A row of the route table; `path` is below the API's base and may hold `{name}` parts."""

    method: str
    path: str
    scope: Scope
    run: Callable[[Call], Answer]

    @property
    def writes(self) -> bool:
        return self.method != "GET"


def perform(endpoint: Endpoint, call: Call) -> Answer:
    """Run the endpoint; a refusal is an answer like any other."""
    try:
        return endpoint.run(call)
    except Refusal as refusal:
        return Answer.refused(refusal)
