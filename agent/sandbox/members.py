"""The tenant's members: enrolment as an upsert, look-up by each key, and what a register is shown.

Invariants: an external id and a case-folded e-mail each belong to one member; marketing consent is off unless
a caller said `true`, and an explicit `false` or `null` takes it back.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.sandbox.documents import Customer, MemberBody
from agent.sandbox.feed import Stamp, Stamper, iso
from agent.sandbox.refusals import invalid, not_found


@dataclass(slots=True)
class Member:
    id: str
    tier: str
    stamp: Stamp
    external_id: str | None = None
    email: str | None = None
    full_name: str | None = None
    phone: str | None = None
    marketing_consent: bool = False
    marketing_consent_at: datetime | None = None

    def view(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "externalId": self.external_id,
            "email": self.email,
            "fullName": self.full_name,
            "phone": self.phone,
            "tier": self.tier,
            "marketingConsent": self.marketing_consent,
            "marketingConsentAt": iso(self.marketing_consent_at) if self.marketing_consent_at else None,
            "createdAt": iso(self.stamp.created_at),
            "updatedAt": iso(self.stamp.updated_at),
        }


class Members:
    def __init__(self, stamper: Stamper, base_tier: str) -> None:
        self._stamper = stamper
        self._base_tier = base_tier
        self._by_id: dict[str, Member] = {}
        self._by_external_id: dict[str, Member] = {}
        self._by_email: dict[str, Member] = {}

    def upsert(self, body: MemberBody, *, member_id: str | None = None, tier: str | None = None) -> tuple[Member, bool]:
        """The member after the upsert, and whether it is new; `member_id` and `tier` are for seeds."""
        known = self._match(body)
        if known is not None:
            if self._apply(known, body):
                self.touch(known)
            return known, False
        member = Member(
            id=member_id or f"mem_{secrets.token_hex(8)}",
            tier=tier or self._base_tier,
            stamp=self._stamper.fresh(),
        )
        self._apply(member, body)
        self._by_id[member.id] = member
        return member, True

    def get(self, member_id: str) -> Member:
        member = self._by_id.get(member_id)
        if member is None:
            raise not_found("MEMBER_NOT_FOUND", "no such member")
        return member

    def find(self, external_id: str | None, email: str | None) -> list[Member]:
        """Members that match every key given, exactly (e-mails case-folded)."""
        return [
            member
            for member in self._by_id.values()
            if external_id in {None, member.external_id} and (email is None or _same(email, member.email))
        ]

    def resolve(self, customer: Customer) -> Member | None:
        """The member a sale names, by memberId, then externalId, then email."""
        return (
            self._by_id.get(customer.member_id or "")
            or self._by_external_id.get(customer.external_id or "")
            or self._by_email.get((customer.email or "").casefold())
        )

    def touch(self, member: Member) -> None:
        """Mark a change that the feed of changed members must show; a new balance is one."""
        self._stamper.touch(member.stamp)

    def _match(self, body: MemberBody) -> Member | None:
        by_external_id = self._by_external_id.get(body.external_id or "")
        by_email = self._by_email.get((body.email or "").casefold())
        if by_external_id is not None:
            if by_email is not None and by_email is not by_external_id:
                raise invalid("email", "belongs to another member")
            return by_external_id
        if by_email is not None and body.external_id and by_email.external_id:
            raise invalid("email", "belongs to a member with another externalId")
        return by_email

    def _apply(self, member: Member, body: MemberBody) -> bool:
        """Take over every field that was sent, keep the indexes true, and say whether anything changed."""
        sent = {name: getattr(body, name) for name in body.model_fields_set}
        if "marketing_consent" in sent:
            sent["marketing_consent"] = sent["marketing_consent"] is True
        changes = {name: value for name, value in sent.items() if getattr(member, name) != value}
        for key in ("external_id", "email"):
            if changes.get(key, "") is None:
                del changes[key]
        if "email" in changes and member.email is not None:
            del self._by_email[member.email.casefold()]
        for name, value in changes.items():
            setattr(member, name, value)
        if member.external_id is not None:
            self._by_external_id[member.external_id] = member
        if member.email is not None:
            self._by_email[member.email.casefold()] = member
        return bool(changes)


def _same(email: str, other: str | None) -> bool:
    return other is not None and email.casefold() == other.casefold()
