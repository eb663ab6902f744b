"""Where Flash is."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FlashAddress:
    """Where Flash is and how to get there. Times in seconds; `connections` at once at the most."""

    base_url: str
    till: str = ""
    attempt_timeout_s: float = 8.0
    proxy: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    connections: int = 8
