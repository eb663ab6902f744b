"""Serve an aiohttp application on loopback as the agent does: no access log, uvloop where there is one."""

from __future__ import annotations

from aiohttp import web


def serve(app: web.Application, port: int) -> None:
    """Run until SIGTERM."""
    try:
        import uvloop

        loop = uvloop.new_event_loop()
    except ImportError:
        loop = None
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, loop=loop)
