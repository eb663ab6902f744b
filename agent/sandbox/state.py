"""All that the stand-in knows: the keys, and tenants with members, orders, points and master data.

Everything is in memory and pure (no I/O, no aiohttp). Calls run one after the other on the event loop, so
each is atomic. A tenant never sees another's records: there is no look-up across tenants.
"""

from collections.abc import Iterable

from agent.sandbox.catalog import Catalog
from agent.sandbox.coupons import Coupon, Coupons
from agent.sandbox.documents import MemberBody, StoreBody
from agent.sandbox.earn import EarnRules
from agent.sandbox.feed import Clock, Stamper
from agent.sandbox.keys import ApiKey, Keyring, Scope
from agent.sandbox.ledger import Ledger, LedgerEntry
from agent.sandbox.members import Members
from agent.sandbox.orders import OrderBook
from agent.sandbox.seeds import Seed, SeedMember
from agent.sandbox.stores import Stores

DEFAULT_TENANT = "demo"


class Tenant:
    def __init__(self, name: str, seed: Seed, *, clock: Clock, rules: EarnRules) -> None:
        stamper = Stamper(clock)
        self.name = name
        self.rules = rules
        self.ledger = Ledger(clock)
        self.members = Members(stamper, rules.base_tier)
        self.orders = OrderBook(clock=clock, stamper=stamper, members=self.members, ledger=self.ledger, rules=rules)
        self.coupons = Coupons(clock)
        self.stores = Stores(stamper)
        self.catalog = Catalog()
        for store in seed.stores:
            body = StoreBody.model_validate({"externalId": store.external_id, "name": store.name, "city": store.city})
            self.stores.upsert(body, store_id=store.id)
        for member in seed.members:
            self._enrol(member, clock)

    def _enrol(self, seed: SeedMember, clock: Clock) -> None:
        if seed.tier is not None and seed.tier not in self.rules.tiers:
            raise ValueError(f"the tier of {seed.id} is not one of the earn rules'")
        body = MemberBody.model_validate(
            {"externalId": seed.external_id, "email": seed.email, "fullName": seed.full_name}
        )
        member, _ = self.members.upsert(body, member_id=seed.id, tier=seed.tier)
        self.ledger.post("opening", member.id, seed.balance)
        for coupon in seed.coupons:
            expires_at = None if coupon.expires_in is None else clock() + coupon.expires_in
            self.coupons.add(
                Coupon(
                    id=coupon.id,
                    member_id=member.id,
                    code=coupon.code,
                    title=coupon.title,
                    uses_left=coupon.uses,
                    expires_at=expires_at,
                    terms=coupon.terms,
                )
            )


class State:
    """The tenants and their keys. ValueError: that tenant or key is taken; KeyError: no such tenant."""

    def __init__(self, seed: Seed, *, clock: Clock, rules: EarnRules) -> None:
        self._clock = clock
        self._rules = rules
        self._tenants: dict[str, Tenant] = {}
        self.keys = Keyring()
        self.add_tenant(DEFAULT_TENANT, seed)

    def add_tenant(self, name: str, seed: Seed | None = None) -> Tenant:
        """A further tenant; without a seed it starts empty."""
        if name in self._tenants:
            raise ValueError("that tenant exists already")
        self._tenants[name] = Tenant(name, seed or Seed(), clock=self._clock, rules=self._rules)
        return self._tenants[name]

    def tenant(self, name: str = DEFAULT_TENANT) -> Tenant:
        return self._tenants[name]

    def add_key(self, key: str, scopes: Iterable[Scope], *, label: str, tenant: str = DEFAULT_TENANT) -> ApiKey:
        return self.keys.add(ApiKey(key, self.tenant(tenant).name, frozenset(scopes), label))

    def revoke_key(self, key: str) -> None:
        self.keys.revoke(key)

    def ledger(self, *, tenant: str = DEFAULT_TENANT, member_id: str | None = None) -> tuple[LedgerEntry, ...]:
        """Every movement of points of a tenant, oldest first, or those of one member."""
        return self.tenant(tenant).ledger.entries(member_id)

    def balance(self, member_id: str, *, tenant: str = DEFAULT_TENANT) -> int:
        return self.tenant(tenant).ledger.balance(member_id)
