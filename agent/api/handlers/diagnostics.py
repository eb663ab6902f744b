"""What Flash takes of this till, tried."""

from agent.api import web
from agent.api.calls import Call, answer


async def get_diagnostics(call: Call) -> web.Response:
    """Try at Flash, with harmless calls, whether it takes the keys and what they may do.

    Nothing is changed at Flash. One diagnosis goes at a time, and is good for twenty seconds. In a drill, or while
    Flash asked to be left alone, it is not asked.
    """
    return answer(await call.service.diagnostics())
