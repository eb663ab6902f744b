"""Shopify's customers as members, without any consent: Shopify's marketing consent is not the loyalty programme's."""

from typing import TYPE_CHECKING

from agent.adapters import values
from agent.adapters.base import Item, Site, Skipped, make, named
from agent.adapters.json_documents import Record
from agent.adapters.shopify.orders import customer_of
from agent.masterdata import Member

if TYPE_CHECKING:
    from agent.adapters.shopify import ShopifyOptions


def member(record: Record, place: str, options: "ShopifyOptions", site: Site) -> Item:
    """The member; raises ValueError naming a field that is unsound."""
    keys = customer_of({"customer": record}, options)
    if keys is None:
        return Skipped("no-key", "The customer has no e-mail by which a member could be found.", place)
    names = (named(field, values.text, record.get(field)) for field in ("first_name", "last_name"))
    full_name = " ".join(name for name in names if name)
    fields = {**keys, "fullName": full_name or None, "phone": named("phone", values.text, record.get("phone"))}
    return make(Member, fields, place, site)
