"""What stands before the small files that hold keys: nothing but their mode (`file`), or something of the system's.

    file          the file is its owner's alone (0600), and that is all
    credentials   sealed with a secret that systemd hands to the service: LoadCredential(Encrypted)=flash-agent.key
    keyring       sealed with a secret in the system's keyring (the package `keyring`); it must be unlocked unattended
    dpapi         sealed by Windows for the account that the agent runs under

`auto` takes `dpapi` on Windows, `credentials` where that credential is there, else `file`; it never takes away what a
file has already. Each is a way to make bytes unreadable elsewhere; the file itself stays where it is, so that it is
replaced whole, on the disk before it counts, whatever stands before it. Raises DataKeyError naming the mend.
"""

import hashlib
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agent import plainfile
from agent.errors import DataKeyError

StoreName = Literal["file", "credentials", "keyring", "dpapi"]
CREDENTIAL = "flash-agent.key"
_NONCE_BYTES = 12
_SECRET_BYTES = 32
_SERVICE = "flash-agent"


class Protection(Protocol):
    """One of them. `about` says what the bytes are; what was protected as one thing does not open as another."""

    @property
    def name(self) -> StoreName:
        """As the settings call it."""
        ...

    def protect(self, plain: bytes, about: str) -> bytes:
        """Make unreadable elsewhere."""
        ...

    def reveal(self, protected: bytes, about: str) -> bytes:
        """The plain bytes again."""
        ...


class _Secret:
    """Sealed with a secret that is kept elsewhere."""

    def __init__(self, name: StoreName, secret: bytes, mend: str) -> None:
        self.name: StoreName = name
        self._cipher = AESGCM(hashlib.blake2b(secret, digest_size=32, person=b"flash-agent key").digest())
        self._mend = mend

    def protect(self, plain: bytes, about: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, about.encode())

    def reveal(self, protected: bytes, about: str) -> bytes:
        try:
            return self._cipher.decrypt(protected[:_NONCE_BYTES], protected[_NONCE_BYTES:], about.encode())
        except (InvalidTag, ValueError):
            raise DataKeyError(f"{about} does not open with what protects it. {self._mend}") from None


class _Plain:
    """Nothing but the file's mode."""

    name: StoreName = "file"

    def protect(self, plain: bytes, about: str) -> bytes:  # noqa: ARG002
        return plain

    def reveal(self, protected: bytes, about: str) -> bytes:  # noqa: ARG002
        return protected


class _Dpapi:
    """Windows' own; see `windows.py`."""

    name: StoreName = "dpapi"

    def protect(self, plain: bytes, about: str) -> bytes:
        from agent.storage import windows  # noqa: PLC0415 - there alone

        return windows.protect(plain, about)

    def reveal(self, protected: bytes, about: str) -> bytes:
        from agent.storage import windows  # noqa: PLC0415

        return windows.reveal(protected, about)


def choose(asked: str, environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> StoreName:
    """What `[keys] store` means here."""
    if asked != "auto":
        return asked  # type: ignore[return-value] # the settings allow no other
    if platform == "win32":
        return "dpapi"
    return "credentials" if _credential(environ) is not None else "file"


def protection(
    name: StoreName, data_dir: Path, environ: Mapping[str, str] = os.environ, platform: str = sys.platform
) -> Protection:
    """One by its name; raises DataKeyError where the system has it not."""
    match name:
        case "file":
            return _Plain()
        case "credentials":
            path = _credential(environ)
            mend = f"Give the service its credential {CREDENTIAL} again (LoadCredential= in its unit)."
            if path is None:
                raise DataKeyError(f"There is no credential {CREDENTIAL} in $CREDENTIALS_DIRECTORY. {mend}")
            return by_credential(path, mend)
        case "keyring":
            return _Secret(name, from_keyring(data_dir), "Put the secret back into the keyring.")
        case "dpapi":
            if platform != "win32":
                raise DataKeyError("DPAPI is Windows' own. Choose another [keys] store.")
            return _Dpapi()


def by_credential(path: Path, mend: str = "It is another machine's.") -> Protection:
    """`credentials` by the secret in a file; raises DataKeyError where that is none."""
    return _Secret("credentials", _read(path), mend)


def credential(name: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """A file that systemd hands to the service, where it does."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    path = Path(folder) / name if folder else None
    return path if path is not None and path.exists() else None


def _credential(environ: Mapping[str, str]) -> Path | None:
    return credential(CREDENTIAL, environ)


def _read(path: Path) -> bytes:
    try:
        secret = plainfile.read(path, follow=True).strip()
    except OSError as error:
        raise DataKeyError(f"The credential {path.name} cannot be read: {error.strerror}.") from None
    if len(secret) < _SECRET_BYTES:
        raise DataKeyError(f"The credential {path.name} is shorter than {_SECRET_BYTES} bytes. Make it of random ones.")
    return secret


def from_keyring(data_dir: Path) -> bytes:
    """The secret of this data directory, made where there is none yet."""
    try:
        import keyring  # noqa: PLC0415 - an optional package, and rarely chosen
        from keyring.errors import KeyringError  # noqa: PLC0415
    except ImportError:
        raise DataKeyError(
            "[keys] store keyring needs the Python package keyring, which an installed package of the agent has "
            "not. Choose another [keys] store; from a Python of your own: pip install flash-pos-agent[keyring]."
        ) from None
    account = str(data_dir.absolute())
    try:
        secret = keyring.get_password(_SERVICE, account)
        if secret is None:
            keyring.set_password(_SERVICE, account, secrets.token_hex(_SECRET_BYTES))
            secret = keyring.get_password(_SERVICE, account)
    except KeyringError as error:
        kind = type(error).__name__
        raise DataKeyError(f"The keyring cannot be used ({kind}). Unlock it, or choose another [keys] store.") from None
    if not secret:
        raise DataKeyError("The keyring keeps nothing. Choose another [keys] store.")
    return secret.encode()
