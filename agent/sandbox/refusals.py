"""The one exception of the stand-in: a call that Flash answers with an error envelope."""

from collections.abc import Mapping


class Refusal(Exception):  # noqa: N818 - it is an answer of Flash, not a fault of ours
    """A "no" with the status, code and message that go on the wire; its raiser changed nothing."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def invalid(field: str, message: str) -> Refusal:
    return Refusal(422, "VALIDATION", f"{field}: {message}")


def not_found(code: str, message: str) -> Refusal:
    return Refusal(404, code, message)
