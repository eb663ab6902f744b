"""Tenant keys: who is calling, for which tenant, and what that key may do.

A key is bound to one tenant for good. An unknown or revoked key is nobody (401); a known key without the
endpoint's scope is refused (403). Keys are told apart by their label wherever they are shown; the key itself
is never repeated.
"""

from dataclasses import dataclass
from enum import StrEnum

from agent.sandbox.refusals import Refusal

KEY_PREFIX = "fl_live_"


class Scope(StrEnum):
    MEMBERS_READ = "members:read"
    MEMBERS_WRITE = "members:write"
    ORDERS_READ = "orders:read"
    ORDERS_WRITE = "orders:write"
    COUPONS_READ = "coupons:read"
    COUPONS_REDEEM = "coupons:redeem"
    STORES_READ = "stores:read"
    STORES_WRITE = "stores:write"
    CATALOG_READ = "catalog:read"
    CATALOG_WRITE = "catalog:write"


READ_SCOPES = frozenset(scope for scope in Scope if scope.endswith(":read"))
WRITE_SCOPES = frozenset(Scope) - READ_SCOPES


@dataclass(frozen=True, slots=True)
class ApiKey:
    key: str
    tenant: str
    scopes: frozenset[Scope]
    label: str

    def require(self, scope: Scope) -> None:
        if scope not in self.scopes:
            raise Refusal(403, "FORBIDDEN", f"this key lacks the scope {scope}")


class Keyring:
    """The keys in force. Raises ValueError for a key that does not look like one, or is already taken."""

    def __init__(self) -> None:
        self._keys: dict[str, ApiKey] = {}

    def add(self, key: ApiKey) -> ApiKey:
        if not key.key.startswith(KEY_PREFIX):
            raise ValueError(f"a tenant key starts with {KEY_PREFIX}")
        if key.key in self._keys:
            raise ValueError("that key is already in use")
        self._keys[key.key] = key
        return key

    def revoke(self, key: str) -> None:
        """Take a key out of force; an unknown one is a no-op."""
        self._keys.pop(key, None)

    def authenticate(self, authorization: str | None) -> ApiKey:
        scheme, _, token = (authorization or "").partition(" ")
        found = self._keys.get(token.strip()) if scheme.casefold() == "bearer" else None
        if found is None:
            raise Refusal(401, "UNAUTHORIZED", "a valid tenant key is needed: Authorization: Bearer fl_live_…")
        return found
