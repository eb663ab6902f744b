"""What the call for diagnostics answers."""

from typing import Literal

from agent.api.views.answered import Answered
from agent.api.views.status import FlashKeySources


class KeysKeptOff(Answered):
    """Why Flash was not asked with a key: an outage drill runs, or Flash asked to be left alone."""

    write: Literal["drill", "paused"] | None
    read: Literal["drill", "paused"] | None


class TriedCallView(Answered):
    """One harmless call to Flash, and what it said of the key. `call` names what the key would be needed for."""

    key: Literal["write", "read"]
    call: str
    verdict: Literal["allowed", "key-refused", "scope-refused", "throttled", "troubled", "unreachable", "not-flash"]
    http_status: int | None
    detail: str | None


class DiagnosticsView(Answered):
    """What the agent found out about its line. `calls` end with the first that shows no use in the next.

    `rateLimit`: `limit`, `remaining` and `reset` as the last answer's headers told them, where they did.
    """

    asked_at: str
    complete: bool
    kept_off: KeysKeptOff
    calls: list[TriedCallView]
    store_shown: bool | None
    rate_limit: dict[str, int]
    clock_skew_seconds: float | None
    own_read_key: bool
    connectivity: Literal["online", "offline", "unauthorized", "throttled", "starting"]
    closed_for_seconds: float
    held_endpoints: list[str]
    drill: bool
    key_verified: bool
    flash_keys: FlashKeySources
    schema_versions: dict[str, int]
