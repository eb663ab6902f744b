"""The exceptions that cross a room's border, each with a stable code.

    AgentError
    ├── ConfigError                 the settings are unusable; the start stops (exit code 2)
    │   ├── AlreadyRunningError     another agent holds the data directory
    │   └── PortTakenError          another program listens on our port
    └── Refusal                     an answer to a register that is not a yes; `status` is its HTTP status
        ├── BadRequestError         400  malformed JSON, a header that cannot be read
        ├── UnauthorizedError       401  no local token, or an unknown one
        ├── ForbiddenError          403  the token's scope is too narrow
        ├── ForeignOriginError      403  a web page that is not on the allow-list
        ├── NotFoundError           404  no such operation or path
        ├── MethodError             405
        ├── SlowBodyError           408  the body does not come
        ├── SlowHeadError           408  the head does not come
        ├── ConflictError           409  it contradicts what is there: order-conflict, illegal-transition, and the like
        ├── NotConfiguredError      409  an adapter lacks a setting that it must have
        ├── GoneError               410  a day past its retention
        ├── TooLargeError           413
        ├── MediaTypeError          415
        ├── WrongHostError          421
        ├── InvalidError            422  every fault of the document, named
        ├── TooManyStreamsError     429  so many streams of events are open already
        ├── MemberUnknownError      503  nobody could be asked about a member whom this till has not met
        ├── FlashUnavailableError   503  Flash cannot be asked now
        ├── OverloadedError         503  too much is being accepted at once
        ├── StorageUnavailableError 503  the database cannot be used now
        │   └── DataKeyError        503  the data key is missing or is not the one that sealed the rows
        │       └── SealBrokenError 503  one sealed value does not open
        └── StorageFullError        507  the disk is full

Nothing here logs itself: whoever turns an error into an answer does.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Fault(NamedTuple):
    """One thing wrong with a document: the field's path in the sender's spelling, and what would be right."""

    field: str
    message: str


class AgentError(Exception):
    """Root of all errors of this program; `code` is stable, the text is for people."""

    code = "internal"


class ConfigError(AgentError):
    """The settings cannot be used. The text names the setting and the mend."""

    code = "configuration"


class AlreadyRunningError(ConfigError):
    """Another agent has the data directory; the text says which."""

    code = "already-running"


class PortTakenError(ConfigError):
    """The port is in use; the text says by whom, where the system tells."""

    code = "port-taken"


class Refusal(AgentError):  # noqa: N818 - the field's word for a "no" to a register
    """An answer to the register that is not a yes.

    `stored` is False when it is certain that nothing was kept; True when something was, or may have been.
    `operation_id` names the operation a conflict is with. `retry_after_s`: when to send the same again, whole seconds;
    where its raiser does not know, the answer says it (`api/problems.py`).
    """

    status = 500
    title = "The agent failed"
    retryable = False

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        faults: Sequence[Fault] = (),
        stored: bool = False,
        operation_id: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.faults = tuple(faults)
        self.stored = stored
        self.operation_id = operation_id
        self.retry_after_s = retry_after_s


class BadRequestError(Refusal):
    code, status, title = "bad-request", 400, "The request cannot be read"


class UnauthorizedError(Refusal):
    code, status, title = "unauthorized", 401, "A valid local token is needed"


class ForbiddenError(Refusal):
    code, status, title = "forbidden", 403, "The token does not allow this"


class ForeignOriginError(Refusal):
    code, status, title = "origin-not-allowed", 403, "This web page may not call the agent"


class NotFoundError(Refusal):
    code, status, title = "not-found", 404, "There is no such thing"


class MethodError(Refusal):
    code, status, title = "method-not-allowed", 405, "The path does not take this method"


class SlowBodyError(Refusal):
    code, status, title, retryable = "body-timeout", 408, "The body does not come", True


class SlowHeadError(Refusal):
    code, status, title, retryable = "head-timeout", 408, "The request does not come", True


class ConflictError(Refusal):
    code, status, title = "conflict", 409, "This contradicts what the agent already has"


class NotConfiguredError(Refusal):
    code, status, title = "adapter-not-configured", 409, "This needs a setting first"


class GoneError(Refusal):
    code, status, title = "past-retention", 410, "This is no longer kept"


class TooLargeError(Refusal):
    code, status, title = "body-too-large", 413, "The body is too large"


class MediaTypeError(Refusal):
    code, status, title = "unsupported-media-type", 415, "The body is not of a form that is taken here"


class WrongHostError(Refusal):
    code, status, title = "wrong-host", 421, "The request was meant for another host"


class InvalidError(Refusal):
    code, status, title = "validation", 422, "The document has faults"


class TooManyStreamsError(Refusal):
    code, status, title, retryable = "too-many-streams", 429, "Too many streams of events", True


class OverloadedError(Refusal):
    code, status, title, retryable = "overloaded", 503, "Too much at once", True


class MemberUnknownError(Refusal):
    code, status, title, retryable = "member-unknown-offline", 503, "Nobody can be asked about this member now", True


class FlashUnavailableError(Refusal):
    code, status, title, retryable = "flash-unavailable", 503, "Flash cannot be asked now", True


class StorageUnavailableError(Refusal):
    code, status, title, retryable = "storage-unavailable", 503, "The agent cannot store anything now", True


class DataKeyError(StorageUnavailableError):
    code = "data-key-unavailable"


class SealBrokenError(DataKeyError):
    """One sealed value does not open: it was altered or moved, or its key is unknown."""


class StorageFullError(Refusal):
    code, status, title, retryable = "storage-full", 507, "The disk is full", True
