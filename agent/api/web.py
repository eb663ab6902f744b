"""aiohttp's server, as far as this API uses it: `aiohttp.web` without applications, routers, files and websockets.

From the modules where they live, for `aiohttp.web` loads them all: 2.5 MB that a till never uses.
"""

from aiohttp.web_exceptions import HTTPException
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response, StreamResponse
from aiohttp.web_server import Server

__all__ = [
    "BaseRequest",
    "HTTPException",
    "RequestHandler",
    "Response",
    "Server",
    "StreamResponse",
]
