"""What the calls on tokens answer."""

from typing import Literal

from agent.api.views.answered import Answered


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
    warnings: tuple[str, ...] = ()
