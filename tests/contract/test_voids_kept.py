"""That a basket was voided is kept for as long as anything else, whatever the clock said when it was voided."""

import pytest

from tests.contract.test_storage_log import Till


@pytest.mark.parametrize("days", [0, -9000, 9000])
async def test_a_void_under_a_dead_clock_is_not_forgotten_when_the_clock_is_right(tmp_path, days):
    till = Till(tmp_path)
    await till.open()

    async def voids():
        return await till.database.fetch("SELECT count(*) FROM voided_basket")

    try:
        till.clock.days = days
        await till.store.redemptions.void("a basket", None)
        till.clock.days = 0
        await till.house.prune()
        assert await voids() == [(1,)]
        till.clock.days = 401
        await till.house.prune()
        assert await voids() == [(0,)]
    finally:
        await till.close()
