"""Whom a record of Salesforce is about: the customer of an order, and accounts and contacts as members.

A customer is known by the account, or by the contact, as the site chooses; the e-mail goes along. Where members are
accounts, contacts are none, and the other way round: a person account is one person in two records, which would
overwrite each other.
"""

from agent.adapters.base import Item, Site, Skipped, make, nobody_in_particular
from agent.adapters.json_documents import Record
from agent.adapters.salesforce.options import SalesforceOptions
from agent.adapters.salesforce.shapes import Entry, reference, text
from agent.masterdata import Member

ACCOUNTS = ("AccountId", "BillingAccountId")
CONTACTS = ("BillToContactId", "ContactId")
EMAILS = (
    ("BillingEmailAddress",),
    ("Account", "PersonEmail"),
    ("BillToContact", "Email"),
    ("Contact", "Email"),
    ("BillingAccount", "PersonEmail"),
)
PHONES = (("MobilePhone",), ("PersonMobilePhone",), ("Phone",))


def customer(record: Record, options: SalesforceOptions) -> dict[str, str]:
    """The keys of the customer; empty where the record shows none."""
    looked_at = {"account": (*ACCOUNTS, *CONTACTS), "contact": (*CONTACTS, *ACCOUNTS), "email": ()}[
        options.customer_key
    ]
    found = {
        "externalId": next(filter(None, (options.somebody(reference(record, field)) for field in looked_at)), None),
        "email": next(filter(None, (options.somebody(text(record, *path)) for path in EMAILS)), None),
    }
    return {name: value for name, value in found.items() if value is not None}


def members(entry: Entry, options: SalesforceOptions, site: Site) -> list[Item]:
    """An account or a contact as a member; raises ValueError naming a field that is unsound."""
    return [_member(entry, options, site)]


def _member(entry: Entry, options: SalesforceOptions, site: Site) -> Item:
    record = entry.record
    key = _key(entry, options)
    email = options.somebody(text(record, "Email") or text(record, "PersonEmail"))
    if key is not None and options.somebody(key) is None:
        return nobody_in_particular(entry.place)
    if options.customer_key == "email" and email is None:
        return Skipped("no-email", 'It has no e-mail, and customer_key = "email" knows nothing else.', entry.place)
    if options.customer_key != "email" and key is None:
        other = "contact" if entry.kind == "Contact" else "account"
        reason = f'Members are known by the {options.customer_key} here; customer_key = "{other}" would take it.'
        return Skipped(f"keyed-by-{options.customer_key}", reason, entry.place)
    whole = " ".join(filter(None, (text(record, "FirstName"), text(record, "LastName"))))
    fields = {
        "externalId": key,
        "email": email,
        "fullName": text(record, "Name") or whole or None,
        "phone": next(filter(None, (text(record, *path) for path in PHONES)), None),
    }
    return make(Member, fields, entry.place, site)


def _key(entry: Entry, options: SalesforceOptions) -> str | None:
    """The id by which this member is known; None where the site knows members by the other kind of record."""
    return entry.id if options.customer_key == str(entry.kind).lower() else None
