"""A key of another tenant must not drain this till's queue: a new write key is used only once Flash shows our store.

The keyed hash of the write key in use is remembered. The first key of a new database is trusted, for nothing was queued
under another; a different one later is held until `GET /stores` under it shows the configured store, or, where stores
cannot be read, until an operator confirms it.
"""

from agent.delivery import Contact, Fate, Outcome, Sender
from agent.health import Health
from agent.outbox.store import Store

_FACT = "write-key"


class KeyGuard:
    """Wraps the sender's probe; `verified` says whether the write key may be used."""

    def __init__(
        self, store: Store, sender: Sender, health: Health, *, key_hash: bytes | None, store_id: str | None
    ) -> None:
        self._store = store
        self._sender = sender
        self._health = health
        self._key_hash = key_hash
        self._store_id = store_id
        self.verified = False

    async def start(self) -> None:
        """Compare the configured key with the remembered one."""
        self._health.set("flash-key-missing", active=self._key_hash is None)
        if self._key_hash is None:
            return
        known = await self._store.fact(_FACT)
        self.verified = known == self._key_hash
        if known is None:
            await self.confirm()
        self._health.set("flash-key-unverified", active=not self.verified)

    async def is_first(self) -> bool:
        """Whether no write key was this till's own yet."""
        return await self._store.fact(_FACT) is None

    async def adopt(self, key_hash: bytes, *, verified: bool) -> None:
        """Another key is the write key from now on; raises what the store raises, and then the one before is."""
        if verified:
            await self._store.remember(_FACT, key_hash)
        self._key_hash, self.verified = key_hash, verified
        self._health.set("flash-key-missing", active=False)
        self._health.set("flash-key-unverified", active=not verified)

    async def confirm(self) -> None:
        """From now on this key is the till's own."""
        if self._key_hash is not None:
            await self._store.remember(_FACT, self._key_hash)
            self.verified = True
            self._health.set("flash-key-unverified", active=False)

    async def probe(self, *, write_key: bool) -> Outcome:
        """Probe the line; under a new key the answer counts only when it shows this till's store."""
        while (asked_of := self._key_hash) is not None:
            outcome = await self._probe(write_key=write_key)
            if asked_of == self._key_hash:
                return outcome
        return Outcome(Fate.HOLD, Contact.KEY_REFUSED, "key-missing", "No Flash key is configured.", unsent=True)

    async def _probe(self, *, write_key: bool) -> Outcome:
        asked_of = self._key_hash
        outcome = await self._sender.probe(write_key=write_key or not self.verified)
        if self.verified or outcome.contact is not Contact.ANSWERED:
            return outcome
        shown = None if self._store_id is None else await self._sender.shows_store(self._store_id)
        if isinstance(shown, Outcome):
            return shown
        if shown and asked_of == self._key_hash:
            await self.confirm()
            return outcome
        return Outcome(Fate.HOLD, Contact.KEY_REFUSED, "key-unverified", "The key has not shown this store.")
