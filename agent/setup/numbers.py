"""Whether a register's order numbers repeat: four usual ways, and the templates that they come to. Pure.

Flash needs one id for one order in the whole tenant. Two sales under one id count as one, so there is no default: the
store has to say how its registers count.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Way:
    """A way to count. `fields` are what must stand before a number, so that it is the only one."""

    name: str
    says: str
    fields: tuple[str, ...] = ()

    def template(self, of: str) -> str:
        """The template for `external_order_id` or `refund_id`."""
        return "-".join(f"{{{field}}}" for field in (*self.fields, of))


WAYS = (
    Way("unique", "a number comes once in the whole chain, whatever store, till or day"),
    Way(
        "repeat-by-day",
        "a store's tills share their numbers, which begin anew each day",
        ("store_id", "business_date"),
    ),
    Way("repeat-by-till", "each till counts for itself, and never begins anew", ("store_id", "till_id")),
    Way(
        "repeat-by-till-and-day",
        "each till counts for itself, and begins anew each day",
        ("store_id", "till_id", "business_date"),
    ),
)
BY_NAME = {way.name: way for way in WAYS}
ORDER, REFUND = "external_order_id", "refund_id"


def templates(orders: str, refunds: str | None = None) -> tuple[str, str]:
    """`id_template` and `refund_id_template` for two ways or templates; refunds count like orders by default.

    Raises ValueError, with words that follow the answer's name, for what is neither.
    """
    for_orders = _template(orders, ORDER)
    return for_orders, _template(refunds, REFUND) if refunds else for_orders.replace(f"{{{ORDER}}}", f"{{{REFUND}}}")


def _template(chosen: str, of: str) -> str:
    if chosen in BY_NAME:
        return BY_NAME[chosen].template(of)
    if "{" not in chosen:
        raise ValueError(f"must be {', '.join(BY_NAME)} or a template that holds {{{of}}}")
    return chosen


def way_of(template: str, of: str) -> str:
    """The name of the way that a template stands for; else the template itself."""
    return next((way.name for way in WAYS if way.template(of) == template), template)


def example(template: str, store: str, till: str) -> str:
    """What Flash would get for order or refund 90871."""
    number = {ORDER: "90871", REFUND: "90871"}
    return template.format_map({"store_id": store, "till_id": till, "business_date": "2026-11-22", **number})
