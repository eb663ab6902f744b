"""Tokens; none of them for a page, which could step out of its origin with another token."""

from typing import Any

from agent.api import web
from agent.api.bodies import TokenOrder
from agent.api.calls import Call, answer, not_for_pages, read_order, warned
from agent.clock import rfc3339
from agent.tokens import Scope, Token


async def list_tokens(call: Call) -> web.Response:
    """The tokens that clients were given, without the tokens themselves."""
    not_for_pages(call)
    return answer({"tokens": [_token_json(token) for token in call.service.tokens.all()]})


async def create_token(call: Call) -> web.Response:
    """Make a token for one client; the answer alone ever shows it.

    With an origin it is good in a browser's pages of that origin alone, which may then call the agent.
    """
    not_for_pages(call)
    order, warnings = await read_order(call, TokenOrder, "The document has faults; no token was made.")
    made, secret = await call.service.tokens.create(order.name, Scope(order.scope), order.origin, call.caller.name)
    return answer(warned({**_token_json(made), "token": secret}, warnings), 201)


async def revoke_token(call: Call) -> web.Response:
    """Revoke a client's token: it is refused at once, and what its client listens to ends."""
    not_for_pages(call)
    return answer(_token_json(await call.service.tokens.revoke(call.parameters["token"], call.caller.name)))


def _token_json(token: Token) -> dict[str, Any]:
    """The fields of TokenView."""
    return {
        "id": token.id,
        "name": token.name,
        "scope": token.scope.value,
        "origin": token.origin,
        "createdAt": rfc3339(token.created_at),
        "createdBy": token.created_by,
    }
