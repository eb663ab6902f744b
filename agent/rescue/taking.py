"""Puts what was left on a dead till into a running agent's outbox, part by part, each operation once.

Called by the API; the parts come from `flash-agent rescue import`, which has opened the sealed file as a whole before
the first one. Interrupted, the same import is made again: what is in already is known by its id.
"""

from collections.abc import Callable

from agent.errors import ConflictError, Fault, InvalidError
from agent.flash.client import FlashClient
from agent.outbox.left import Left, Natural
from agent.outbox.rescued import Fate
from agent.outbox.store import Store
from agent.rescue.natural import UNSOUND, check, check_till, natural_of, till_of
from agent.rescue.travelling import Load

SLICE = 25  # operations in one transaction: some milliseconds, for registers wait meanwhile


class Taking:
    """Takes parts of rescues into one store. `wake`: there is something to send."""

    def __init__(self, store: Store, flash: FlashClient, store_id: str | None, wake: Callable[[], None]) -> None:
        self._store = store
        self._flash = flash
        self._store_id = store_id or ""
        self._wake = wake

    async def take(self, load: Load) -> list[tuple[Left, Fate]]:
        """What became of each. Raises InvalidError where anything is not what it says; nothing is taken then.

        Raises ConflictError where the till stood in another store and nobody said that this is meant, or where Flash
        does not show that store under this till's key; and what the store raises: what was taken before stays.
        """
        try:
            check_till(load.till)
        except ValueError as error:
            raise InvalidError("The rescue names no till.", faults=[Fault("till", str(error))]) from None
        await self._check_store(load)
        sound = [self._sound(number, left, load) for number, left in enumerate(load.operations)]
        fates: list[Fate] = []
        try:
            for start in range(0, len(sound), SLICE):
                fates += await self._store.rescued.take(load.till, load.origin, sound[start : start + SLICE])
        finally:
            self._wake()
        return list(zip(load.operations, fates, strict=True))

    async def _check_store(self, load: Load) -> None:
        """Another store may be another tenant's, whose points must not come out of this one's programme."""
        if load.till.store_id == self._store_id:
            return
        theirs, ours = load.till.store_id or "no store", self._store_id or "no store"
        if not load.store_differs:
            raise ConflictError(
                f"The rescued till stood in {theirs}, this one stands in {ours}. Import it at a till of that store, "
                "or say that it is meant: --store-differs.",
                code="store-differs",
            )
        if load.till.store_id and await self._flash.shows_store(load.till.store_id) is False:
            raise ConflictError(
                f"Flash does not show {theirs} under this till's key: it belongs to another tenant. Import it at a "
                "till of that one.",
                code="store-unknown",
            )

    @staticmethod
    def _sound(number: int, left: Left, load: Load) -> tuple[Left, Natural]:
        try:
            check(left)
            return left, natural_of(left, till_of(left, load.till))
        except UNSOUND as error:
            why = str(error) if type(error) is ValueError else "its content is not of its kind"
            raise InvalidError(
                "The rescue holds something that is not what it says; nothing was taken.",
                faults=[Fault(f"operations[{number}]", why)],
            ) from None
