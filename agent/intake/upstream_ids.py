"""The ids that Flash gets, where a register's numbers repeat by till and day: `[orders] id_template` and its like.

Flash needs one id in the tenant for one order. What a register counts per till and day is told apart by a template of
store, till and business date; the date is the register's, never the clock's. Pure; called by the intake. Raises
InvalidError naming the field that is missing, or that makes an id too long.
"""

from agent.config import Settings
from agent.errors import Fault, InvalidError
from agent.fields import MAX_ID_CHARS
from agent.model import OrderRef, Refund

_REFUSED = "The document has faults; nothing was stored."


class UpstreamIds:
    """Makes upstream ids as the settings say."""

    def __init__(self, settings: Settings) -> None:
        self._orders = settings.orders
        self._store = settings.store
        self._are_plain = settings.orders.id_template == "{external_order_id}"

    def of_order(self, external: str, store_id: str | None, business_date: str | None) -> str:
        """The upstream id of a sale that this till rang up."""
        return self._of_order(external, store_id, None, business_date, "businessDate")

    def of_refunded_order(self, refund: Refund) -> str:
        """The upstream id of the sale that a refund is of, wherever it was rung up."""
        reference = refund.order_ref
        if reference is None:
            if self._orders.dated:
                message = "is required, since order numbers repeat here: upstreamOrderId, or businessDate of the sale"
                raise InvalidError(_REFUSED, faults=[Fault("orderRef", message)])
            reference = OrderRef.model_construct(
                upstream_order_id=None, store_id=None, till_id=None, business_date=None
            )
        if reference.upstream_order_id is not None:
            return reference.upstream_order_id
        store_id, till_id, day = reference.store_id, reference.till_id, reference.business_date
        return self._of_order(refund.external_order_id, store_id, till_id, day, "orderRef.businessDate")

    def of_refund(self, refund: Refund) -> str:
        """The upstream id of a refund of this till."""
        if self._orders.refunds_dated and refund.business_date is None:
            message = "is required, since refund numbers repeat here ([orders] refund_id_template)"
            raise InvalidError(_REFUSED, faults=[Fault("businessDate", message)])
        names = {"refund_id": refund.refund_id, "external_order_id": refund.external_order_id}
        return _filled(
            self._orders.refund_id_template, "refundId", **names, **self._place(None, None, refund.business_date)
        )

    def _of_order(
        self, external: str, store_id: str | None, till_id: str | None, business_date: str | None, field: str
    ) -> str:
        if self._are_plain:
            return external
        if self._orders.dated and business_date is None:
            message = "is required, since order numbers repeat here ([orders] id_template)"
            raise InvalidError(_REFUSED, faults=[Fault(field, message)])
        place = self._place(store_id, till_id, business_date)
        return _filled(self._orders.id_template, "externalOrderId", external_order_id=external, **place)

    def _place(self, store_id: str | None, till_id: str | None, business_date: str | None) -> dict[str, str]:
        return {
            "store_id": store_id or self._store.store_id or "",
            "till_id": till_id or self._store.till_id,
            "business_date": business_date or "",
        }


def _filled(template: str, field: str, **fields: str) -> str:
    filled = template.format_map(fields)
    if len(filled) > MAX_ID_CHARS:
        message = f"makes an upstream id of {len(filled)} characters; {MAX_ID_CHARS} are the most"
        raise InvalidError(_REFUSED, faults=[Fault(field, message)])
    return filled
