"""aiohttp without its client, until somebody asks for that.

`import aiohttp` loads the client too, and reads the system's certificates for it: 4 MB and 50 ms that a till never
uses, since the agent is a server here and speaks to Flash through httpx. `begin` puts the package in place with its
body unread. Its submodules load as ever, `aiohttp.web` among them; the first name that only the body has, such as
`aiohttp.ClientSession`, reads it. Where a later aiohttp's server needs its client, it gets it, and only the saving is
gone. To do without this, leave out the call.
"""

import importlib.util
import sys
import threading
from types import ModuleType
from typing import Any

_NAME = "aiohttp"


def begin() -> None:
    """Before the first import of aiohttp; later it does nothing."""
    if _NAME in sys.modules:
        return
    spec = importlib.util.find_spec(_NAME)
    if spec is None or spec.loader is None:
        return
    package = importlib.util.module_from_spec(spec)
    package.__dict__["__version__"] = "3"  # what it would call itself in headers that we never send
    package.__dict__["__getattr__"] = _Body(package)
    sys.modules[_NAME] = package


class _Body:
    """The package's `__getattr__`: called for names that it does not have yet."""

    def __init__(self, package: ModuleType) -> None:
        self._package = package
        self._lock = threading.RLock()
        self._begun = False

    def __call__(self, name: str) -> Any:
        names = self._package.__dict__
        with self._lock:
            special = name.startswith("__") and name.endswith("__")
            if not (special or self._begun or importlib.util.find_spec(f"{_NAME}.{name}")):
                self._begun = True
                spec = self._package.__spec__
                assert spec is not None  # noqa: S101 - `begin` had it
                assert spec.loader is not None  # noqa: S101
                spec.loader.exec_module(self._package)
                names.pop("__getattr__", None)
        if name not in names:
            raise AttributeError(f"module {_NAME!r} has no attribute {name!r}", name=name, obj=self._package)
        return names[name]
