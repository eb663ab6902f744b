"""Fault conditions as data: each is declared once and is either there or not.

A condition is raised by the part that sees the fault and cleared by the same part when the fault is gone. The status
call, the events and the metrics show what is raised; nobody parses log lines to learn how the agent is.
"""

from collections.abc import Callable, Iterator
from enum import StrEnum

import msgspec

from agent.clock import Clock, rfc3339, to_ms


class Severity(StrEnum):
    """How soon a person must act."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Condition(msgspec.Struct, frozen=True):
    """One kind of fault: what it means and what to do about it, in words for a store's IT.

    `counts`: its detail says how many, so that another detail is news; elsewhere it may count down by the second.
    """

    code: str
    severity: Severity
    text: str
    mend: str
    counts: bool = False


_DECLARED = (
    Condition(
        "flash-offline",
        Severity.WARNING,
        "Flash cannot be reached; sales are kept and sent later.",
        "Check the store's internet connection, unless a drill runs. Nothing is lost meanwhile.",
    ),
    Condition(
        "outage-drill",
        Severity.INFO,
        "An outage drill runs: nothing is sent to Flash, everything is kept and sent when it ends.",
        "It ends by itself; to end it now: flash-agent drill stop.",
    ),
    Condition(
        "flash-not-flash",
        Severity.WARNING,
        "Something that is not Flash answers at its address.",
        "Check [flash] base_url, and whether a captive portal or proxy answers in its place.",
    ),
    Condition(
        "flash-throttled",
        Severity.INFO,
        "Flash asked the agent to slow down.",
        "Nothing to do; raise the key's rate limit if this stays.",
    ),
    Condition(
        "flash-key-missing",
        Severity.CRITICAL,
        "No Flash key is configured; sales are kept but not sent.",
        "Give it to the running agent: flash-agent keys set write. Or set [flash] write_key or write_key_file, and "
        "restart the agent.",
    ),
    Condition(
        "flash-key-refused",
        Severity.CRITICAL,
        "Flash refuses the write key; sales are kept but not sent.",
        "Replace the key where it lies; flash-agent keys list shows where. Kept: flash-agent keys rotate. A file: "
        "write the new key into it; it is read again within a minute. The setting [flash] write_key, or a credential: "
        "replace it and restart the agent.",
    ),
    Condition(
        "flash-key-unverified",
        Severity.CRITICAL,
        "The write key is new and Flash has not yet shown this till's store under it; nothing is sent with it.",
        "If the key is right, confirm it: flash-agent keys confirm. If it belongs to another tenant, replace it.",
    ),
    Condition(
        "flash-key-waiting",
        Severity.WARNING,
        "A new Flash key is not in force yet; the one before it is used.",
        "It comes into force by itself once Flash has shown this till's store under it. If Flash does not let it see "
        "stores and the key is right: flash-agent keys confirm. If Flash refuses it, or it belongs to another tenant, "
        "give the right one: flash-agent keys rotate write, or read.",
    ),
    Condition(
        "flash-endpoint-refused",
        Severity.CRITICAL,
        "The write key's scopes do not allow a call that is needed.",
        "Give the key the write preset in Flash; what is held is sent within a minute.",
    ),
    Condition(
        "operations-failed",
        Severity.WARNING,
        "Operations failed for good and wait for a person.",
        "flash-agent operations list --status failed shows them; then flash-agent operations retry ID, "
        "or flash-agent operations discard ID --reason TEXT.",
        counts=True,
    ),
    Condition(
        "catalog-rows-refused",
        Severity.WARNING,
        "Flash did not take rows of a product catalog; everything else of it was taken.",
        "flash-agent operations list --kind catalog shows which operations, flash-agent operations show ID which rows "
        "and why. Mend them in the system that they come from, and import again. Where they may stay as they are: "
        "flash-agent operations close ID --reason TEXT. What is no longer there is forgotten after [storage] "
        "retention_days.",
        counts=True,
    ),
    Condition(
        "redemptions-unconfirmed",
        Severity.WARNING,
        "Of some coupons it is not known whether they were burned; none of them was honored by that.",
        "Pending ones are cleared up when Flash answers. flash-agent operations list --kind redemption --status failed "
        "shows those that need you: retry each, or close it with --burned or --not-burned and --reason TEXT.",
        counts=True,
    ),
    Condition(
        "coupon-credits-open",
        Severity.WARNING,
        "Coupons were burned and their discount not given.",
        "The next redemption of such a coupon at this till is honored. Or settle it with the customer, then "
        "flash-agent operations close ID --reason TEXT; flash-agent operations list --kind redemption shows which.",
        counts=True,
    ),
    Condition(
        "coupons-honored-offline-lost",
        Severity.WARNING,
        "Flash refused coupons that were honored offline; the discount is the store's loss.",
        "flash-agent exposure shows the day's sheet; note the loss, then flash-agent operations discard ID "
        "--reason TEXT for each.",
        counts=True,
    ),
    Condition(
        "clock-skewed",
        Severity.WARNING,
        "The till's clock differs from Flash's by more than two minutes.",
        "Let the system set its time from the network.",
    ),
    Condition(
        "storage-unavailable",
        Severity.CRITICAL,
        "The database cannot be written; nothing is accepted.",
        "Check the disk; the agent tries again by itself.",
    ),
    Condition(
        "storage-full",
        Severity.CRITICAL,
        "The disk is full; nothing is accepted.",
        "Free space on the disk of the data directory; the agent then goes on by itself.",
    ),
    Condition(
        "disk-low",
        Severity.WARNING,
        "The disk of the data directory is nearly full.",
        "Free space before nothing can be accepted.",
    ),
    Condition(
        "data-key-unavailable",
        Severity.CRITICAL,
        "The data key is missing or is not the one that sealed the stored operations; nothing is accepted.",
        "Put data.key back from a backup and restart the agent. Do not delete the database: without the key nobody can "
        "read it.",
    ),
    Condition(
        "recovery-key-not-kept",
        Severity.WARNING,
        "The data keys could not be sealed to [keys] recovery: if this machine dies now, its disk may stay unreadable.",
        "Make room on the disk, let the agent write into its data directory, and restart the agent.",
    ),
    Condition(
        "database-quarantined",
        Severity.CRITICAL,
        "The database was damaged or gone; what is left was set aside, and what could be read was taken over.",
        "Send the quarantine folder to support. When the case is closed delete the folder; the next start no longer "
        "shows this.",
    ),
    Condition(
        "upgrade-rolled-back",
        Severity.WARNING,
        "An update did not get ready: the version before runs on, with everything that was stored.",
        "Read in the log why the newer version ended (the service manager keeps it), mend that, and install it again. "
        "Nothing is lost. This goes when an update gets ready, or after seven days.",
    ),
    Condition(
        "tokens-unreadable",
        Severity.CRITICAL,
        "The list of the clients' tokens cannot be read: clients with a token of their own are refused.",
        "Put the file back from a backup, or remove it, and restart the agent; then flash-agent token create for each "
        "client that is missing. The register's and the operator's token of the data directory work meanwhile.",
    ),
    Condition(
        "spool-unusable",
        Severity.WARNING,
        "A spool folder cannot be used, or holds files that cannot be read; they wait.",
        "Make the folder, or mount its share, and let the agent's user read, write and delete in it, and read the "
        "files; the agent then goes on by itself. On Linux the service's unit must name the folder as well "
        "(ReadWritePaths=, docs/spool.md). sudo flash-agent doctor says which it is.",
    ),
    Condition(
        "spool-failed",
        Severity.WARNING,
        "Spooled files hold something that could not be taken, and wait for a person in the folder's failed.",
        "Read NAME.why.json beside each, mend what it names and move the file back into the folder: what was taken "
        "before counts once. Or delete it.",
        counts=True,
    ),
    Condition(
        "loopback-partial",
        Severity.INFO,
        "The agent listens on one of the two loopback addresses only.",
        "Call it by the address that works, or switch the missing protocol on.",
    ),
)
CONDITIONS = {condition.code: condition for condition in _DECLARED}


class Raised(msgspec.Struct, frozen=True):
    """A condition that holds now: since when (milliseconds), and particulars without personal data."""

    condition: Condition
    since_ms: int
    detail: str

    def as_json(self) -> dict[str, str | None]:
        """The shape in `GET /v1/status`."""
        text = f"{self.condition.text} {self.detail}".rstrip()
        return {
            "code": self.condition.code,
            "severity": self.condition.severity.value,
            "text": text,
            "since": rfc3339(self.since_ms),
            "mend": self.condition.mend,
        }


def how_many(count: int) -> str:
    """A condition's detail that says how many there are."""
    return "There is 1." if count == 1 else f"There are {count}."


class Health:
    """The conditions that hold now. `changed` is called when one was raised or cleared, or counts anew."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._raised: dict[str, Raised] = {}
        self.version = 0  # of what holds: another one whenever `changed` is called
        self.changed: Callable[[], None] = lambda: None

    def set(self, code: str, *, active: bool, detail: str = "") -> None:
        """Raise or clear the declared condition `code`; the time of the first raise is kept."""
        if not active:
            if self._raised.pop(code, None) is not None:
                self._tell()
            return
        before = self._raised.get(code)
        since = before.since_ms if before else to_ms(self._clock.now())
        self._raised[code] = Raised(CONDITIONS[code], since, detail)
        if before is None or (CONDITIONS[code].counts and before.detail != detail):
            self._tell()

    def _tell(self) -> None:
        self.version += 1
        self.changed()

    def __contains__(self, code: str) -> bool:
        return code in self._raised

    def __iter__(self) -> Iterator[Raised]:
        return iter(sorted(self._raised.values(), key=lambda raised: raised.since_ms))
