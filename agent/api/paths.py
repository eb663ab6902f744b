"""Which endpoint a request is for: the route table, looked up.

aiohttp's own application, router and middleware chain do more than a handful of fixed paths need, and took as long as
the guard, the handler and the model together. What a path means is the same as there: percent-encoded or not, a
parameter is one whole segment.
"""

import re
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from agent.api import web

Endpoint = Callable[[web.BaseRequest, Mapping[str, str]], Awaitable[web.StreamResponse]]


class Found(msgspec.Struct):
    """The endpoints of a path by method (none: there is no such path) and the path's parameters."""

    methods: Mapping[str, Endpoint]
    parameters: Mapping[str, str]


_NOWHERE = Found({}, {})


class Paths:
    """All paths of the API. Fixed ones are looked up; those with parameters are tried in turn."""

    def __init__(self) -> None:
        self._methods: dict[str, dict[str, Endpoint]] = {}
        self._fixed: dict[str, Found] = {}
        self._patterns: dict[str, re.Pattern[str]] = {}

    def add(self, path: str, method: str, endpoint: Endpoint) -> None:
        """Serve a path, such as `/v1/operations/{id}`."""
        methods = self._methods.setdefault(path, {})
        methods[method] = endpoint
        if "{" in path:
            self._patterns[path] = re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path))
        else:
            self._fixed[path] = Found(methods, {})

    def find(self, request: web.BaseRequest) -> Found:
        """Where a request goes."""
        if found := self._fixed.get(request.raw_path):  # nearly always: no query and nothing encoded
            return found
        path = request.rel_url.path_safe
        if found := self._fixed.get(path):
            return found
        for template, pattern in self._patterns.items():
            if match := pattern.fullmatch(path):
                parameters = {name: _decoded(value) for name, value in match.groupdict().items()}
                return Found(self._methods[template], parameters)
        return _NOWHERE


def _decoded(segment: str) -> str:
    """What `path_safe` left encoded, lest it be taken for a separator."""
    return segment.replace("%2F", "/").replace("%25", "%")
