"""What is known of a member: as a till remembers it, and as news of it come in.

Times are milliseconds by Flash's clock where it is known. Nothing here shows personal data in its text form.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.model import member_subjects

PARTS = ("points", "tier", "coupons")
PROFILE = ("id", "externalId", "email", "fullName")

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Key:
    """What a member is looked up by: `memberId`, `externalId` or `email`, and its value."""

    name: str
    value: str = field(repr=False)

    @property
    def subject(self) -> str:
        """As the outbox calls it."""
        named: dict[str, str | None] = {"memberId": None, "externalId": None, "email": None, self.name: self.value}
        return member_subjects(named["memberId"], named["externalId"], named["email"])[0]


@dataclass(frozen=True, slots=True, repr=False)
class Snapshot:
    """A member as this till remembers it. `parts` holds what is known of PARTS, `at` when each was told.

    `looked_at` is when Flash was last asked for all of it; a part that is older was not told then.
    """

    seq: int
    row_id: str
    profile: Fields
    parts: Fields
    at: Mapping[str, int]
    looked_at: int | None
    clock_known: bool

    @property
    def member_id(self) -> str:
        """Flash's id."""
        return str(self.profile["id"])


@dataclass(frozen=True, slots=True, repr=False)
class News:
    """What Flash told of one member.

    `profile` has the id, and with `whole` all of PROFILE that Flash has; without, what was known beside it stays.
    `began_ms` is when the asking began, by the steady clock: what a settled operation brought since is newer. `met`: at
    this till. `looked`: everything was asked for. `due`: it changed, and its parts are to be asked for. `if_held`: kept
    only where this till still remembers the member, who may have asked to be forgotten meanwhile.
    """

    profile: Fields
    parts: Fields
    at_ms: int
    began_ms: int
    clock_known: bool
    whole: bool = True
    met: bool = True
    looked: bool = True
    due: bool = False
    if_held: bool = False

    @property
    def member_id(self) -> str:
        """Flash's id."""
        return str(self.profile["id"])


def profile_of(row: Fields) -> dict[str, Any]:
    """The part of a member's fields that is kept: PROFILE and nothing else; what is no text is left out."""
    return {name: row[name] for name in PROFILE if isinstance(row.get(name), str) and row[name]}


def subjects_of(profile: Fields) -> Sequence[str]:
    """All subjects that lead to a member; the id's is the first."""
    email = profile.get("email")
    return member_subjects(profile.get("id"), profile.get("externalId"), email.strip() if email else None)
