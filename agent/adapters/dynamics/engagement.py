"""Customer Engagement (Dataverse): a salesorder as a sale, an account or contact as a member.

It knows no return of its own. An amount is in the order's currency, which is an id; it is sent as the till's where the
exchange rate is that of the base currency, and must be known else.
"""

from typing import Any

from agent.adapters import values
from agent.adapters.base import Item, Site, Skipped, make, named, nobody_in_particular
from agent.adapters.dynamics import shapes
from agent.adapters.dynamics.options import DynamicsOptions
from agent.adapters.json_documents import Record, inner
from agent.masterdata import Member
from agent.model import Sale

CUSTOMERS = ("customerid_contact", "customerid_account")
PHONES = ("mobilephone", "telephone1")


def sale(record: Record, place: str, options: DynamicsOptions, site: Site) -> Item:
    """A salesorder that is fulfilled or invoiced; raises ValueError naming a field that is unsound."""
    if options.award != "orders" and not options.both_earn:
        raise options.other_kind("Commerce's transactions earn here (award = transactions).")
    if shapes.text(record, "statecode") not in options.earning_states:
        return Skipped("status", "Its statecode is none of earning_states.", place)
    if shapes.text(record, "statuscode") in options.partial_statuses:
        return Skipped("partly-fulfilled", "It is fulfilled in part, and earns as a whole later.", place)
    number = shapes.guid(record, "salesorderid") if options.order_id == "id" else shapes.text(record, "ordernumber")
    if number is None:
        return Skipped("no-number", 'It has no ordernumber, and order_id = "number" asks for it.', place, fault=True)
    customer = _customer(record, options)
    if not customer:
        return Skipped("no-customer", "It shows no customer.", place)
    fields = {
        "externalOrderId": f"{options.id_prefix}{number}",
        "customer": customer,
        "currency": _currency(record, options),
        "totalAmount": named("totalamount", values.needed_amount, shapes.at(record, "totalamount")),
        "occurredAt": shapes.moment(record, "createdon"),
    }
    return make(Sale, fields, place, site)


def member(record: Record, place: str, options: DynamicsOptions, site: Site) -> Item:
    """A contact or an account."""
    if shapes.text(record, "statecode") == "1":
        return Skipped("inactive", "It is no longer active.", place)
    number = shapes.guid(record, "contactid", "accountid")
    if number is not None and options.somebody(number) is None:
        return nobody_in_particular(place)
    email = options.somebody(shapes.text(record, "emailaddress1"))
    if options.customer_key == "email" and email is None:
        return Skipped(
            "no-email", 'It has no e-mail, and customer_key = "email" knows customers by nothing else.', place
        )
    fields = {
        "externalId": number if options.customer_key == "id" else None,
        "email": email,
        "fullName": _name(record),
        "phone": next(filter(None, (shapes.text(record, field) for field in PHONES)), None),
    }
    return make(Member, fields, place, site)


def _customer(record: Record, options: DynamicsOptions) -> dict[str, str]:
    expanded = (named(path, values.text, inner(record, path, "emailaddress1")) for path in CUSTOMERS)
    emails = map(options.somebody, (shapes.text(record, "emailaddress"), *expanded))
    found = {"email": next(filter(None, emails), None)}
    if options.customer_key == "id":
        found["externalId"] = options.somebody(shapes.guid(record, "_customerid_value", "customerid"))
    return {name: value for name, value in found.items() if value is not None}


def _currency(record: Record, options: DynamicsOptions) -> str | None:
    expanded: Any = inner(record, "transactioncurrencyid", "isocurrencycode")
    if (code := named("isocurrencycode", values.text, expanded)) is not None:
        return code
    known = {key.strip("{}").lower(): code for key, code in options.currencies.items()}
    number = shapes.guid(record, "_transactioncurrencyid_value", "transactioncurrencyid")
    if number in known:
        return known[number]
    rate = named("exchangerate", values.amount, shapes.at(record, "exchangerate"))
    if rate is not None and rate != 1:
        raise ValueError(
            "transactioncurrencyid is not the base currency, for exchangerate is not 1, and its code is not known; "
            "expand it with isocurrencycode, or name it in [adapters.dynamics] currencies"
        )
    return None


def _name(record: Record) -> str | None:
    if (whole := shapes.text(record, "fullname", "name")) is not None:
        return whole
    parts = filter(None, (shapes.text(record, "firstname"), shapes.text(record, "lastname")))
    return " ".join(parts) or None
