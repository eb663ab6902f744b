"""The audit log: every call, against its key's label. Keys, queries and bodies are not kept."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.sandbox.feed import iso


@dataclass(slots=True)
class AuditEntry:
    """One call. `status` None: it got no answer. `key_label` None: it ended before the key was known."""

    at: datetime
    method: str
    path: str
    key_label: str | None = None
    tenant: str | None = None
    status: int | None = None
    idempotency_key: str | None = None
    replayed: bool = False
    fault: str | None = None
    user_agent: str | None = None
    request_id: str | None = None

    def view(self) -> dict[str, Any]:
        return {
            "at": iso(self.at),
            "keyLabel": self.key_label,
            "tenant": self.tenant,
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "idempotencyKey": self.idempotency_key,
            "replayed": self.replayed,
            "fault": self.fault,
            "userAgent": self.user_agent,
            "requestId": self.request_id,
        }


class AuditLog:
    """The newest `size` calls, oldest first."""

    def __init__(self, size: int) -> None:
        self._entries: deque[AuditEntry] = deque(maxlen=size)

    def add(self, entry: AuditEntry) -> None:
        self._entries.append(entry)

    def entries(self, *, method: str | None = None, path: str = "") -> tuple[AuditEntry, ...]:
        """The calls, or those of one method and those whose path (from the root) starts with `path`."""
        return tuple(e for e in self._entries if method in {None, e.method} and e.path.startswith(path))

    def clear(self) -> None:
        self._entries.clear()

    def __iter__(self) -> Iterator[AuditEntry]:
        return iter(self.entries())

    def __len__(self) -> int:
        return len(self._entries)
