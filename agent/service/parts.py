"""What a running agent is made of. Built by `wiring.py`, started and stopped by `app`, asked by `service.py`."""

import msgspec

from agent.datakeys.rotation import Rotation
from agent.events import Events
from agent.flash.client import FlashClient
from agent.flashkeys import FlashKeys
from agent.flashkeys.swap import KeySwap
from agent.intake import Intake
from agent.members.members import Members
from agent.outbox.keyguard import KeyGuard
from agent.outbox.line import Line
from agent.outbox.relay import Relay
from agent.outbox.store import Store
from agent.receipt.wording import Wordings
from agent.redemption.redeeming import Redeeming
from agent.redemption.unconfirmed import Unconfirmed
from agent.service.drill import Drill
from agent.storage import Database
from agent.tokens import Tokens


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """One of each."""

    # what is kept
    database: Database
    store: Store
    rotation: Rotation
    # the way to Flash
    flash: FlashClient
    flash_keys: FlashKeys
    key_guard: KeyGuard
    key_swap: KeySwap
    line: Line
    drill: Drill
    relay: Relay
    # the counter
    intake: Intake
    members: Members
    redeeming: Redeeming
    unconfirmed: Unconfirmed
    wordings: Wordings
    # who may ask, and who is told
    tokens: Tokens
    events: Events
