"""Other systems' documents: what reads them and takes them in is loaded when the first one comes.

Hardly any till is sent one. It is loaded in a thread, for registers must not wait meanwhile.
"""

import asyncio
from importlib import import_module

from agent.api import web
from agent.api.calls import Call


async def list_adapters(call: Call) -> web.Response:
    """The systems whose documents are understood."""
    await _load()
    from agent.api.handlers import documents_taken  # noqa: PLC0415

    return await documents_taken.list_adapters(call)


async def post_document(call: Call) -> web.Response:
    """Take in a document of another system; what is in it becomes operations, each once.

    The answer tells of every item what became of it. Where the agent could not store (503, 507) send the document
    again: what was stored counts once.
    """
    await _load()
    from agent.api.handlers import documents_taken  # noqa: PLC0415

    return await documents_taken.post_document(call)


async def _load() -> None:
    await asyncio.to_thread(import_module, "agent.api.handlers.documents_taken")
