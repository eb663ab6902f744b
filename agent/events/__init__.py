"""The events: whoever listens hears what becomes of operations, how the line is, and what needs attention.

The outbox's own history is the log and a stream is a place in it (`agent/outbox/history.py`): nothing is queued for a
reader, so that a slow one costs nothing and misses nothing. What is new is read once for all and kept encoded in a ring
(`hub.py`, `ring.py`); a stream behind the ring, because it resumes after a restart or reads slowly, reads pages of its
own (`stream.py`), and one that is too far behind is told to list the operations instead (`resync`).

The line and the conditions are told as they are, at the beginning and whenever they have changed: between two looks the
latest counts. Every event carries the place up to which its stream has told operations, as its id.

At least once: an operation may be told again, as it is now. While nobody listens nothing is read, kept or timed.
"""

from agent.events.hub import MAX_STREAMS, REGISTER_STREAMS, Events
from agent.events.stream import Stream

__all__ = ["MAX_STREAMS", "REGISTER_STREAMS", "Events", "Stream"]
