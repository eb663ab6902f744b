"""Flash's feed of orders."""

from agent.api import web
from agent.api.calls import Call, answer


async def list_flash_orders(call: Call) -> web.Response:
    """A page of the orders that changed at Flash, its whole tenant's, read now with the agent's read key.

    For comparing with what this till sent. An order may come again on a later page; nothing of a customer is shown.
    """
    query = call.request.query
    return answer(await call.service.flash_orders.page(query.get("updatedSince"), query.get("cursor")))
