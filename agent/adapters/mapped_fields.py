"""What a site may map: the kinds of documents, the fields of each, and which of them it must map."""

from collections.abc import Mapping

CUSTOMER = ("customer.memberId", "customer.externalId", "customer.email")
_PERSON = ("externalId", "email", "fullName", "phone")
# Each kind's fields; of a catalog's rows those that are needed, for they may have others.
FIELDS: Mapping[str, tuple[str, ...]] = {
    "sale": (
        *("externalOrderId", "totalAmount", *CUSTOMER, "currency"),
        *("storeId", "businessDate", "transactionId", "occurredAt"),
    ),
    "refund": ("externalOrderId", "refundId", "amount", *CUSTOMER, "currency", "reason", "businessDate"),
    "enrollment": (*_PERSON, "marketingConsent", "marketingConsentAt"),
    "member": _PERSON,
    "store": ("externalId", "name", "city"),
    "brand": ("externalId", "name"),
    "category": ("externalId", "name"),
    "product": ("externalId", "title"),
    "variant": ("externalId", "productExternalId", "sku"),
    "inventory": ("variantSku", "locationRef", "available"),
}
ROWS: Mapping[str, str] = {
    "brand": "brands",
    "category": "categories",
    "product": "products",
    "variant": "variants",
    "inventory": "inventory",
}
NEEDED: Mapping[str, tuple[str, ...]] = {
    "sale": ("externalOrderId", "totalAmount"),
    # One without its sale is told apart; a column for the amount that is empty must not mean the whole sale.
    "refund": ("refundId", "amount"),
    "store": ("externalId", "name"),
    **{kind: FIELDS[kind] for kind in ROWS},
}
