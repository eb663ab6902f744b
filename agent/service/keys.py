"""The keys as operators see them: Flash's are given, confirmed, looked for again and listed, the data key is changed.

Nothing here is a key: they are named by their fingerprints. Raises DataKeyError where there is no data key.
"""

from typing import Any

from pydantic import SecretStr

from agent.datakeys.rotation import KeyState
from agent.errors import DataKeyError
from agent.flashkeys import Which, fingerprint
from agent.flashkeys.swap import KeySwap
from agent.service.parts import Parts


class Keys:
    """The write key, the read key and the data key of a running agent."""

    def __init__(self, parts: Parts) -> None:
        self._key_swap = parts.key_swap
        self._flash_keys = parts.flash_keys
        self._rotation = parts.rotation

    async def give(self, which: Which, key: SecretStr, *, force: bool, by: str) -> dict[str, Any]:
        """Take a Flash key: the fields of GivenKeyView. Raises ConflictError where Flash says no to it."""
        state = await self._swap().offer(which, key, force=force, by=by)
        protected_by = self._flash_keys.protected_by
        named = {"which": which, "fingerprint": fingerprint(key), "state": state, "protectedBy": protected_by}
        view = next(view for view in await self._key_swap.views() if view["which"] == which)
        return {**named, "source": view["source"], "waiting": view["waiting"], "previous": view["previous"]}

    async def confirm(self, by: str) -> None:
        """Take the operator's word that the new write key is this till's own."""
        await self._swap().confirm(by)

    async def views(self) -> list[dict[str, Any]]:
        """The fields of FlashKeyView, for each key."""
        return await self._swap().views()

    async def reload(self, by: str) -> list[dict[str, Any]]:
        """Look at the files and credentials of Flash keys again, and show what came of it."""
        await self._swap().reload(by)
        return await self.views()

    @property
    def data_key(self) -> dict[str, Any] | None:
        """The fields of DataKeyView; None without a key."""
        state = self._rotation.state
        return None if state is None else self._shown(state)

    async def rotate_data_key(self, by: str) -> dict[str, Any]:
        """Seal what is stored with a new data key from now on: the fields of DataKeyView."""
        return self._shown(await self._rotation.rotate(by))

    def _swap(self) -> KeySwap:
        if self._rotation.state is None:
            raise DataKeyError("There is no data key to keep it with. Put data.key back first.", retry_after_s=30)
        return self._key_swap

    def _shown(self, state: KeyState) -> dict[str, Any]:
        return {
            "current": state.current,
            "older": list(state.older),
            "resealing": state.resealing,
            "protectedBy": self._flash_keys.protected_by,
        }
