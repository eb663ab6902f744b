"""The campaigns: each tries to break one promise many times, and says what it saw. `make prove` runs them all.

A campaign is a `Campaign` of `tests.support.campaign`, registered in `ALL` below; it comes with controls, weakened
copies of the product in which it must find the breach that it is there to find.
"""

from tests.campaigns import (
    corruption,
    door,
    fleet,
    full_disk,
    kills,
    load,
    network,
    outage,
    power_cut,
    rotation,
    secrets,
    simulation,
    spool,
    syscalls,
    upgrade,
)
from tests.support.campaign import Campaign

ALL: tuple[Campaign, ...] = (
    simulation.CAMPAIGN,
    kills.CAMPAIGN,
    syscalls.CAMPAIGN,
    full_disk.CAMPAIGN,
    power_cut.CAMPAIGN,
    corruption.CAMPAIGN,
    network.CAMPAIGN,
    load.CAMPAIGN,
    outage.CAMPAIGN,
    fleet.CAMPAIGN,
    door.CAMPAIGN,
    rotation.CAMPAIGN,
    secrets.CAMPAIGN,
    spool.CAMPAIGN,
    upgrade.CAMPAIGN,
)
