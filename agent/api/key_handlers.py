"""Keys over the local API: a Flash key to be kept. It is never shown again."""

import asyncio

from agent.api import web
from agent.api.handlers import Call, answer, not_for_pages, read_object, validated
from agent.model import FlashKeyOrder


async def keep_flash_key(call: Call) -> web.Response:
    """Keep a Flash key in the data directory, protected like the data key, for the next start.

    `[flash] write_key` and the like go before it.
    """
    not_for_pages(call)
    order = validated(FlashKeyOrder, await read_object(call.request), "The document has faults; no key was kept.")
    keys = call.service.flash_keys
    await asyncio.to_thread(keys.keep, order.which, order.key)
    return answer({"which": order.which, "protectedBy": keys.protected_by, "source": keys.sources[order.which]})
