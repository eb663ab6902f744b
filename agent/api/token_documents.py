"""What the calls on tokens answer, as models; they describe it in the OpenAPI document."""

from typing import Any, Literal

from agent.api.documents import Answered
from agent.clock import rfc3339
from agent.tokens import Token


class TokenView(Answered):
    """One client's token, without the token itself, which nobody can show any more."""

    id: str
    name: str
    scope: Literal["register", "operator"]
    origin: str | None
    created_at: str
    created_by: str


class TokenList(Answered):
    """The clients' tokens that are good; the two of the data directory are not among them."""

    tokens: list[TokenView]


class NewTokenView(TokenView):
    """`token` is shown here and never again."""

    token: str


def token_json(token: Token) -> dict[str, Any]:
    """The fields of TokenView."""
    return {
        "id": token.id,
        "name": token.name,
        "scope": token.scope.value,
        "origin": token.origin,
        "createdAt": rfc3339(token.created_at),
        "createdBy": token.created_by,
    }
