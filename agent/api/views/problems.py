"""An answer that is not a yes (RFC 9457)."""

from agent.api.views.answered import Answered


class FaultView(Answered):
    """One fault of a document."""

    field: str
    message: str


class OperationRef(Answered):
    """Where the operation of a conflict is."""

    id: str
    href: str


class ProblemView(Answered):
    """RFC 9457. `retryable`: send the same again later. `stored` false: nothing was kept."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    stored: bool
    errors: list[FaultView] | None = None
    operation: OperationRef | None = None
