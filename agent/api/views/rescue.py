"""What the API answers about a rescue."""

from typing import Literal

from agent.api.views.answered import Answered


class RescuedOperation(Answered):
    """What became of one operation.

    `taken`: it is in the outbox now; `known`: it was taken before; `repeated`: this till has the same by itself;
    `conflicting`: this till has the same with another amount, so it was taken as failed, for a person.
    """

    id: str
    fate: Literal["taken", "known", "repeated", "conflicting"]


class RescueView(Answered):
    """What became of the operations of a dead till, in their order."""

    operations: list[RescuedOperation]
