"""Who may call: the tokens of the local API, what each allows, and the file of those that clients were given.

`register.token` and `operator.token` lie in the data directory for whoever may read it. A client (one lane's register,
a page, a script) can be given a token of its own, which is shown once and can be revoked alone. `tokens.json` keeps
their SHA-256 only; a token is 256 random bits, so that a slow hash would add nothing. The file lies beside the database
and not in it: what is set aside or salvaged there brings no revoked token back, and a lost or damaged list leaves the
two tokens of the data directory working.
"""

import asyncio
import errno
import functools
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import msgspec

from agent import logs
from agent.clock import Clock, to_ms
from agent.errors import ConflictError, NotFoundError, Refusal, StorageFullError, StorageUnavailableError
from agent.health import Health
from agent.storage import write_durably

MAX_TOKENS = 200
UNREADABLE = "tokens-unreadable"
_PREFIX = "fat_"  # a leaked one is recognised, by people and by scanners
_INDEX_BYTES = 8


class Scope(StrEnum):
    """What a token may do; `operator` includes `register`."""

    PUBLIC = "public"
    REGISTER = "register"
    OPERATOR = "operator"


class Caller(msgspec.Struct, frozen=True):
    """Who calls: the client's name (or the scope's, of the data directory's tokens), and what it may do.

    With an `origin` the token is good in pages of that origin alone.
    """

    name: str
    scope: Scope
    origin: str | None = None

    def may(self, needed: Scope) -> bool:
        return needed is Scope.PUBLIC or self.scope is Scope.OPERATOR or needed is self.scope


ANONYMOUS = Caller("anonymous", Scope.PUBLIC)


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of one client's token; `sha256` in hexadecimal digits, `created_at` in milliseconds."""

    id: str
    name: str
    scope: Scope
    origin: str | None
    sha256: str
    created_at: int
    created_by: str


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    tokens: list[Token]


class _Known(NamedTuple):
    digest: bytes
    caller: Caller


class Tokens:
    """All tokens that open the API now. `own` are the data directory's; the clients' are read from `path`.

    `revoked` is called with the name of a client whose token is good no longer.
    """

    def __init__(self, path: Path, own: Mapping[Scope, str], clock: Clock, health: Health) -> None:
        self._path = path
        self._clock = clock
        self._health = health
        self._log = logs.get()
        self._own = [_Known(digest(token), Caller(scope.value, scope)) for scope, token in own.items()]
        self._kept: list[Token] = []  # as the file has them
        self._refused: set[str] = set()  # ids of tokens that are revoked but could not be taken out of the file
        self._writing = asyncio.Lock()
        self._index: dict[bytes, _Known] = {}
        self.origins: frozenset[str] = frozenset()
        self.revoked: Callable[[str], None] = lambda _name: None
        self._read()

    def find(self, token: str) -> Caller | None:
        """Whose token this is. Looked up by the head of its hash and compared whole in constant time."""
        found = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        known = self._index.get(found[:_INDEX_BYTES])
        return known[1] if known is not None and hmac.compare_digest(known[0], found) else None

    def all(self) -> list[Token]:
        """The clients' tokens that are good, in the order in which they were made."""
        return [token for token in self._kept if token.id not in self._refused]

    async def create(self, name: str, scope: Scope, origin: str | None, by: str) -> tuple[Token, str]:
        """A new token, which is returned and kept nowhere; raises ConflictError, or what `_write` raises."""
        async with self._writing:
            self._check_readable()
            if any(token.name.casefold() == name.casefold() for token in self.all()):
                raise ConflictError(f"A token is named {name} already; revoke it first.", code="token-exists")
            if len(self.all()) >= MAX_TOKENS:
                raise ConflictError(f"There are {MAX_TOKENS} tokens; revoke what is not used.", code="too-many-tokens")
            secret = _PREFIX + secrets.token_urlsafe(32)
            made = Token(
                id=f"tok_{secrets.token_hex(8)}",
                name=name,
                scope=scope,
                origin=origin,
                sha256=digest(secret).hex(),
                created_at=to_ms(self._clock.now()),
                created_by=by,
            )
            await self._write([*self.all(), made], "No token was made.")
        self._log.info("a token was created", client=name, by=by)
        return made, secret

    async def revoke(self, name_or_id: str, by: str) -> Token:
        """Refuse a token from now on, whether or not that can be written down; raises what `_write` raises."""
        async with self._writing:
            self._check_readable()
            token = next((token for token in self._kept if name_or_id in {token.id, token.name}), None)
            if token is None:
                raise NotFoundError("There is no token with this name or id.", code="token-not-found")
            self._refused.add(token.id)
            self._make_index()
            self.revoked(token.name)
            self._log.info("a token was revoked", client=token.name, by=by)
            await self._write(self.all(), "The token is refused until a restart; revoke it again to make that last.")
        return token

    def _read(self) -> None:
        try:
            content = self._path.read_bytes()
            self._kept = msgspec.json.decode(content, type=_File).tokens
            [bytes.fromhex(token.sha256) for token in self._kept]
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            self._kept = []
            detail = f"{self._path}: {error.strerror}." if isinstance(error, OSError) else f"{self._path} is damaged."
            self._health.set(UNREADABLE, active=True, detail=detail)
            self._log.error("the list of tokens cannot be read", path=str(self._path))
        self._make_index()

    def _make_index(self) -> None:
        good = self.all()
        clients = [_Known(bytes.fromhex(it.sha256), Caller(it.name, it.scope, it.origin)) for it in good]
        self._index = {known.digest[:_INDEX_BYTES]: known for known in (*clients, *self._own)}
        self.origins = frozenset(token.origin for token in good if token.origin is not None)

    def _check_readable(self) -> None:
        if UNREADABLE in self._health:  # writing would lose for good what may be put back
            raise StorageUnavailableError(f"The list of tokens ({self._path}) cannot be read; the status says more.")

    async def _write(self, tokens: list[Token], otherwise: str) -> None:
        """Keep these; raises StorageFullError or StorageUnavailableError, which begin with what came of it."""
        content = msgspec.json.format(msgspec.json.encode(_File(1, tokens)), indent=1)
        try:
            await asyncio.to_thread(functools.partial(write_durably, self._path, content))
        except OSError as error:
            full = error.errno in {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
            kind: type[Refusal] = StorageFullError if full else StorageUnavailableError
            raise kind(f"{otherwise} {self._path}: {error.strerror}.", retry_after_s=30) from None
        self._kept = tokens
        self._refused.clear()
        self._make_index()


def digest(token: str) -> bytes:
    """SHA-256; what is not a text that a token could be is hashed all the same."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
