"""What the calls of Flash keys answer."""

from typing import Literal

from agent.api.views.answered import Answered


class WaitingKeyView(Answered):
    """A Flash key that is not in force yet; `reason` is what Flash said of it last, `text` the same in words."""

    fingerprint: str
    source: Literal["file", "credential", "kept", "setting"]
    since: str
    reason: Literal["unreachable", "unreadable", "not-shown", "refused", "reads-only", "shown"]
    text: str


class PreviousKeyView(Answered):
    """The key that was replaced last, since the start.

    With no call under way, and not in use for the other one, it will not be seen at Flash again and can be revoked.
    """

    fingerprint: str
    replaced_at: str
    calls_under_way: int
    in_use: bool


class GivenKeyView(Answered):
    """What became of a Flash key that was given: `in-force` for all new calls, `waiting` (the one before stays), or
    `outranked` (kept, and the one that `source` names goes before it). `source` is where the one in force came from.
    """

    which: Literal["write", "read"]
    fingerprint: str
    state: Literal["in-force", "waiting", "outranked"]
    protected_by: Literal["file", "credentials", "keyring", "dpapi"] | None
    source: Literal["setting", "file", "credential", "kept"] | None
    waiting: WaitingKeyView | None
    previous: PreviousKeyView | None
    warnings: tuple[str, ...] = ()


class FlashKeyView(Answered):
    """A Flash key, without the key: `fingerprint` is the beginning of its SHA-256.

    `verified`: Flash has shown this till's store under it, or an operator vouched for it (null: not asked).
    `refusedCalls`: what its scopes did not allow lately. `outranked`: the fingerprint of a kept key that `source` goes
    before.
    """

    which: Literal["write", "read"]
    source: Literal["setting", "file", "credential", "kept"] | None
    fingerprint: str | None
    since: str | None
    verified: bool | None
    refused_calls: list[str]
    waiting: WaitingKeyView | None
    previous: PreviousKeyView | None
    outranked: str | None


class FlashKeyList(Answered):
    """Both keys."""

    keys: list[FlashKeyView]
