"""Keys: Flash's are given, confirmed, looked for again and listed, the data key is changed. No key is ever shown."""

from agent.api import web
from agent.api.bodies import FlashKeyOrder
from agent.api.calls import Call, answer, not_for_pages, read_order, warned


async def give_flash_key(call: Call) -> web.Response:
    """Give the agent a Flash key, which it checks with Flash, keeps protected like the data key, and uses from then on.

    Without a restart: new calls take it once Flash has shown this till's store under it, calls under way end with the
    one before. While Flash cannot be asked it waits. `[flash] write_key` and the like go before what is kept.
    """
    not_for_pages(call)
    order, warnings = await read_order(call, FlashKeyOrder, "The document has faults; no key was kept.")
    given = await call.service.keys.give(order.which, order.key, force=order.force, by=call.caller.name)
    return answer(warned(given, warnings))


async def list_flash_keys(call: Call) -> web.Response:
    """Where the Flash keys come from and how they are, by their fingerprints."""
    not_for_pages(call)
    return answer({"keys": await call.service.keys.views()})


async def confirm_flash_key(call: Call) -> web.Response:
    """Say that the new write key belongs to this till's tenant."""
    not_for_pages(call)
    await call.service.keys.confirm(call.caller.name)
    return answer(await call.service.status())


async def reload_flash_keys(call: Call) -> web.Response:
    """Look at the files and credentials of Flash keys again: what lies there now comes into force like a given key."""
    not_for_pages(call)
    return answer({"keys": await call.service.keys.reload(call.caller.name)})


async def rotate_data_key(call: Call) -> web.Response:
    """Seal what is stored with a new data key from now on.

    What older keys sealed is sealed anew behind, a few rows at a time; the status shows how it stands.
    """
    not_for_pages(call)
    return answer(await call.service.keys.rotate_data_key(call.caller.name))
