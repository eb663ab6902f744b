"""The OpenAPI document, generated from the routes and models that serve: it cannot say what the server does not do."""

import inspect
from importlib import import_module
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from agent import __version__
from agent.api.problems import CONTENT_TYPE, LATER
from agent.api.routes import ROUTES, Parameter, Route
from agent.api.views.problems import ProblemView
from agent.tokens import Scope

_VIEWS = (  # the modules of `views/`
    "diagnostics",
    "documents",
    "exposure",
    "flash_orders",
    "keys",
    "members",
    "operations",
    "rescue",
    "status",
    "summary",
    "tokens",
)
_REF = "#/components/schemas/{model}"
_REPLAYED = {
    "Idempotency-Replayed": {
        "description": "There with a replay alone.",
        "schema": {"type": "string", "enum": ["true"]},
    }
}
_RETRY_AFTER = {"Retry-After": {"description": "In whole seconds.", "required": True, "schema": {"type": "integer"}}}
_GUARD_PROBLEMS = (403, 405, 421)
_TITLES = {
    200: "Settled, or simply the answer",
    201: "Made",
    202: "Accepted and durable; not settled yet",
    400: "The request cannot be read",
    401: "No valid local token",
    403: "The token's scope is too narrow, or the web page is not allowed",
    404: "There is no such thing",
    405: "The path does not take this method",
    408: "The body does not come",
    409: "It contradicts what the agent has",
    410: "It is past its retention",
    413: "The body is too large",
    415: "The body is not of a form that is taken here",
    421: "Meant for another host",
    422: "The document has faults, each named in `errors`",
    429: "Too many streams are open already",
    503: "Nothing can be stored or asked now; try again",
    507: "The disk is full",
}


def document() -> dict[str, Any]:
    """The whole document, OpenAPI 3.1."""
    models: list[tuple[type[BaseModel], Any]] = [(ProblemView, "serialization")]
    for route in ROUTES:
        models += [(_model(name), "serialization") for name in route.answers.values() if name is not None]
        models += [(route.body, "validation")] if route.body is not None else []
    unique = list(dict.fromkeys(models))
    names, definitions = models_json_schema(unique, ref_template=_REF)
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, names)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Flash POS Agent",
            "version": __version__,
            "description": "The localhost API through which register software reaches the Flash loyalty platform.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:8455"}],
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "register": {"type": "http", "scheme": "bearer", "description": "A token of either scope"},
                "operator": {"type": "http", "scheme": "bearer", "description": "A token of scope operator"},
            },
        },
    }


def _model(name: str) -> type[BaseModel]:
    """The model of an answer, by its name in the route table."""
    modules = (vars(import_module(f"agent.api.views.{module}")) for module in _VIEWS)
    model: type[BaseModel] = next(module[name] for module in modules if name in module)
    return model


def _operation(route: Route, names: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    summary, _, rest = (inspect.getdoc(route.handler) or "").partition("\n")
    responses: dict[str, Any] = {}
    for status, name in route.answers.items():
        content = (
            {route.media: {"schema": {"type": "string"}}}
            if name is None
            else {"application/json": {"schema": names[_model(name), "serialization"]}}
        )
        responses[str(status)] = {"description": _TITLES[status], "content": content}
        if any(parameter.name == "Idempotency-Key" for parameter in route.parameters):
            responses[str(status)]["headers"] = _REPLAYED
    problems = {*route.problems, *_GUARD_PROBLEMS, *(() if route.scope is Scope.PUBLIC else (401,))}
    for status in sorted(problems):
        schema = names[ProblemView, "serialization"]
        responses[str(status)] = {"description": _TITLES[status], "content": {CONTENT_TYPE: {"schema": schema}}}
        if status in LATER:
            responses[str(status)]["headers"] = _RETRY_AFTER
    described: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "summary": summary,
        "description": rest.strip(),
        "security": [] if route.scope is Scope.PUBLIC else [{route.scope.value: []}],
        "parameters": [_parameter(parameter) for parameter in route.parameters],
        "responses": responses,
    }
    if route.body is not None:
        schema = names[route.body, "validation"]
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    elif route.takes is not None:
        text = {"schema": {"type": "string", "contentMediaType": "*/*", "description": f"A document: {route.takes}."}}
        described["requestBody"] = {"required": True, "content": {"*/*": text}}
    return described


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.place == "path",
        "description": parameter.text,
        "schema": {"type": "string"},
    }
