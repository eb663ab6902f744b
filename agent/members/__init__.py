"""Members at the counter: snapshots of those this till has met, look-ups, and what keeps both in step with Flash.

    members                     the room as the rest of the agent sees it
    lookup, flight, gate        one member at the counter: asked for within a budget, where Flash may be asked
    snapshot, snapshots, vault  what is remembered, its tables, its sealed columns
    sync, follower              kept in step with what changes at Flash, and with what the outbox settles
    sightings                   coupons that were seen active
    forgetting, resealing       erased without a trace; sealed anew with another data key

Why all this: docs/decisions/0007-members.md.
"""

from pathlib import Path

SCHEMA = Path(__file__).parent / "schema.sql"
MIGRATIONS = Path(__file__).parent / "migrations"
