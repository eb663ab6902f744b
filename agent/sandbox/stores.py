"""The tenant's stores: an upsert by external id, and a change of a known one by Flash's id."""

import secrets
from dataclasses import dataclass
from typing import Any

from agent.sandbox.documents import StoreBody, StoreChange
from agent.sandbox.feed import Stamp, Stamper, iso
from agent.sandbox.refusals import invalid, not_found


@dataclass(slots=True)
class Store:
    id: str
    external_id: str
    name: str
    city: str | None
    stamp: Stamp

    def view(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "externalId": self.external_id,
            "name": self.name,
            "city": self.city,
            "createdAt": iso(self.stamp.created_at),
            "updatedAt": iso(self.stamp.updated_at),
        }


class Stores:
    """Invariant: an external id belongs to one store."""

    def __init__(self, stamper: Stamper) -> None:
        self._stamper = stamper
        self._stores: dict[str, Store] = {}

    def upsert(self, body: StoreBody, *, store_id: str | None = None) -> tuple[Store, bool]:
        """The store after the upsert, and whether it is new. `store_id` is for seeding alone."""
        known = self._by_external_id(body.external_id)
        if known is not None:
            return self._apply(known, body), False
        store = Store(
            id=store_id or f"st_{secrets.token_hex(8)}",
            external_id=body.external_id,
            name=body.name,
            city=body.city,
            stamp=self._stamper.fresh(),
        )
        self._stores[store.id] = store
        return store, True

    def change(self, store_id: str, body: StoreChange) -> Store:
        store = self._stores.get(store_id)
        if store is None:
            raise not_found("STORE_NOT_FOUND", "no such store")
        owner = self._by_external_id(body.external_id) if body.external_id else None
        if owner is not None and owner is not store:
            raise invalid("externalId", "belongs to another store")
        return self._apply(store, body)

    def all(self) -> list[Store]:
        return list(self._stores.values())

    def _by_external_id(self, external_id: str) -> Store | None:
        return next((store for store in self._stores.values() if store.external_id == external_id), None)

    def _apply(self, store: Store, body: StoreBody | StoreChange) -> Store:
        changes = {
            name: value
            for name, value in body.model_dump(exclude_unset=True).items()
            if value is not None and getattr(store, name) != value
        }
        for name, value in changes.items():
            setattr(store, name, value)
        if changes:
            self._stamper.touch(store.stamp)
        return store
