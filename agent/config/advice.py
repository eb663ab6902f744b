"""What is unwise about settings that can be used. Told by `config check` and by the doctor."""

from collections.abc import Iterator

from agent.config.settings import Settings

_UNIQUE = {"store_id": "store", "till_id": "till", "business_date": "day"}


def unwise(settings: Settings) -> Iterator[str]:
    """A sentence or two each: what it leads to, and the mend."""
    template = settings.orders.id_template
    missing = [what for field, what in _UNIQUE.items() if f"{{{field}}}" not in template]
    if missing:
        yield (
            f"[orders] id_template does not tell apart every {' or '.join(missing)}: two sales with the same number "
            "would count as one. Leave it so only if the register's numbers never repeat there."
        )
    if settings.store.store_id is None:
        consequence = "sales reach Flash without a store, and a new write key cannot be checked against it"
        if "{store_id}" in template + settings.orders.refund_id_template:
            consequence += ", and it is missing from the ids that the templates make"
        yield f"[store] store_id is not set: {consequence}."
