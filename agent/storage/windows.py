"""Windows' part: DPAPI for the account that the agent runs under.

Called on Windows alone. DPAPI without the machine flag: with it every account of the till could open what it seals.
"""

import ctypes
from typing import Any

from agent.errors import DataKeyError

_UI_FORBIDDEN = 0x1


class _Blob(ctypes.Structure):
    _fields_ = (("size", ctypes.c_uint32), ("data", ctypes.c_void_p))


def protect(plain: bytes, about: str) -> bytes:
    """Seal for this account; raises DataKeyError."""
    return _call("CryptProtectData", plain, about)


def reveal(protected: bytes, about: str) -> bytes:
    """Open what this account sealed; raises DataKeyError."""
    return _call("CryptUnprotectData", protected, about)


def _call(function: str, given: bytes, about: str) -> bytes:
    library: Any = ctypes  # its Windows part, which the type checker knows on Windows alone
    crypt32 = library.WinDLL("crypt32", use_last_error=True)
    kernel32 = library.WinDLL("kernel32")
    kernel32.LocalFree.argtypes = (ctypes.c_void_p,)
    (blob, _given), (entropy, _about), made = _blob(given), _blob(about.encode()), _Blob()
    done = getattr(crypt32, function)(
        ctypes.byref(blob), None, ctypes.byref(entropy), None, None, _UI_FORBIDDEN, ctypes.byref(made)
    )
    if not done:
        number = library.get_last_error()
        raise DataKeyError(
            f"Windows does not open {about} for this account (error {number}). "
            "Run the agent under the account that made it, or put the file back from a backup."
        )
    try:
        return ctypes.string_at(made.data, made.size)
    finally:
        kernel32.LocalFree(made.data)


def _blob(content: bytes) -> tuple[_Blob, Any]:
    """A blob, and the buffer that must live as long as Windows reads it."""
    buffer = ctypes.create_string_buffer(content, len(content))
    return _Blob(len(content), ctypes.cast(buffer, ctypes.c_void_p)), buffer
