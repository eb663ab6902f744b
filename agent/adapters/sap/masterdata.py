"""Business partners and customers as members, the product master as a catalog."""

from collections.abc import Iterator, Sequence
from typing import Any

from agent.adapters import values
from agent.adapters.base import Item, NotSentError, Skipped, guarded, make, named, nobody_in_particular
from agent.adapters.json_documents import Record
from agent.adapters.sap.dossier import Dossier, Entry, expanded, number
from agent.adapters.sap.options import SapOptions
from agent.adapters.sap.terms import member_key
from agent.masterdata import Catalog, Member


def of_partner(entry: Entry, dossier: Dossier) -> Iterator[Item]:
    """The member of a business partner who is a customer; the key is the customer's number, as sales have it."""
    record = entry.record
    customer = number(record, "Customer")
    if customer is None:
        raise NotSentError("not-a-customer", "The business partner is no customer.")
    if dossier.options.somebody(customer) is None:
        yield nobody_in_particular(entry.place)
        return
    category = named("BusinessPartnerCategory", values.text, record.get("BusinessPartnerCategory"))
    if category is not None and category not in dossier.options.partner_categories:
        raise NotSentError("not-a-customer", "Its BusinessPartnerCategory is none of partner_categories.")
    for name in ("BusinessPartnerIsBlocked", "IsMarkedForArchiving"):
        if named(name, values.flag, record.get(name)):
            raise NotSentError("blocked", f"The business partner is blocked or leaves: {name}.")
    addresses = expanded(record, "to_BusinessPartnerAddress")
    fields = {
        "externalId": member_key(customer, dossier.options),
        "fullName": _first(record, "BusinessPartnerFullName", "PersonFullName", "BusinessPartnerName"),
        "email": dossier.options.somebody(
            _reached(addresses, "to_EmailAddress", "IsDefaultEmailAddress", ("EmailAddress",))
        ),
        "phone": _reached(addresses, "to_MobilePhoneNumber", "IsDefaultPhoneNumber", _PHONES)
        or _reached(addresses, "to_PhoneNumber", "IsDefaultPhoneNumber", _PHONES),
    }
    yield make(Member, fields, entry.place, dossier.site)


def of_customer(entry: Entry, dossier: Dossier) -> Iterator[Item]:
    """The member of a customer record that came without its business partner."""
    customer = number(entry.record, "Customer")
    if customer is None:
        raise ValueError("Customer is missing")
    if dossier.options.somebody(customer) is None:
        yield nobody_in_particular(entry.place)
        return
    fields = {"externalId": member_key(customer, dossier.options), "fullName": _first(entry.record, "CustomerName")}
    yield make(Member, fields, entry.place, dossier.site)


_PHONES = ("InternationalPhoneNumber", "PhoneNumber")


def _first(record: Record, *names: str) -> str | None:
    return next((found for name in names if (found := named(name, values.text, record.get(name)))), None)


def _reached(addresses: Sequence[Record], way: str, default: str, names: tuple[str, ...]) -> str | None:
    """An e-mail address or a telephone number: the one marked as the default, else the first."""
    ways = [each for address in addresses for each in expanded(address, way)]
    ways.sort(key=lambda each: not named(default, values.flag, each.get(default)))
    return next((found for each in ways if (found := _first(each, *names))), None)


def of_products(dossier: Dossier) -> Iterator[Item]:
    """One catalog of all products, and a reason for each that is not in it."""
    options = dossier.options
    products: list[dict[str, Any]] = []
    variants: list[dict[str, Any]] = []
    groups: dict[str, str] = {}

    def row(entry: Entry) -> Iterator[Item]:
        product, title = number(entry.record, "Product"), _title(entry.record, options)
        if product is None:
            raise ValueError("Product is missing")
        if named("IsMarkedForDeletion", values.flag, entry.record.get("IsMarkedForDeletion")):
            yield Skipped("deleted", "The product is marked for deletion.", entry.place)
            return
        if title is None:
            reason = "The product has no description in it. Read it with $expand=to_Description."
            yield Skipped("no-title", reason, entry.place, fault=True)
            return
        group = named("ProductGroup", values.text, entry.record.get("ProductGroup"))
        name = options.product_groups.get(group or "")
        if group is not None and name is not None:
            groups[group] = name
        linked = {} if name is None else {"categoryExternalId": group}
        products.append({"externalId": product, "title": title, **linked})
        variants.append({"externalId": product, "productExternalId": product, "sku": product})

    for entry in (each for each in dossier.entries if each.kind == "product"):
        yield from guarded(entry.place, lambda entry=entry: row(entry))  # type: ignore[misc]
    if products:
        categories = [{"externalId": code, "name": name} for code, name in sorted(groups.items())]
        fields = {
            "source": options.catalog_source,
            "categories": categories,
            "products": products,
            "variants": variants,
        }
        yield make(Catalog, fields, f"{len(products)} products", dossier.site)


def _title(record: Record, options: SapOptions) -> str | None:
    """The description in the first of the site's languages that there is, else in any."""
    texts: dict[str, str] = {}
    for each in expanded(record, "to_Description"):
        text = named("ProductDescription", values.text, each.get("ProductDescription"))
        if text is not None:
            texts.setdefault((named("Language", values.text, each.get("Language")) or "").upper(), text)
    wanted = [language.upper() for language in options.languages]
    return next((texts[language] for language in [*wanted, *texts] if language in texts), None)
