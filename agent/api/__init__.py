"""The localhost API: guard → route table → thin handlers.

What a register sees is fixed; see docs/integrating.md.

    server, connections, loopback, web   the HTTP server, its bounds and its sockets
    lean_aiohttp                         aiohttp without its client
    guard, paths, routes                 who may call, and which call it is
    calls, bodies, prefer                what a call says: body, headers, query
    handlers                             a module for each kind of call
    answers, shown, streaming, problems  how it is answered: an operation, events, an error
    openapi, views, docs                 the whole API described
"""

from agent.api import lean_aiohttp

lean_aiohttp.begin()
