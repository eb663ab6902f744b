"""A stand-in for Flash v2: the upstream in tests and demonstrations, and what cashiers train on.

    async with Sandbox() as sandbox:
        sandbox.faults.order("answer-lost", times=1, path="/orders")
        ...                       # talk to sandbox.base_url with sandbox.write_key
        sandbox.state.ledger()    # what Flash believes was earned

It follows the published contract; readings that the contract leaves open are in `assumed.py`. State is in
memory, the default bind is loopback. Nothing in the agent may import this but its command line.
"""

from agent.sandbox.audit import AuditEntry, AuditLog
from agent.sandbox.earn import EarnRules
from agent.sandbox.faults import Fault, FaultKind, Faults
from agent.sandbox.keys import Scope
from agent.sandbox.ledger import LedgerEntry
from agent.sandbox.ratelimit import RateLimit
from agent.sandbox.seeds import DEMO, Seed, SeedCoupon, SeedMember, SeedStore
from agent.sandbox.server import READ_KEY, STORE_ID, WRITE_KEY, Sandbox
from agent.sandbox.state import State, Tenant

__all__ = [
    "DEMO",
    "READ_KEY",
    "STORE_ID",
    "WRITE_KEY",
    "AuditEntry",
    "AuditLog",
    "EarnRules",
    "Fault",
    "FaultKind",
    "Faults",
    "LedgerEntry",
    "RateLimit",
    "Sandbox",
    "Scope",
    "Seed",
    "SeedCoupon",
    "SeedMember",
    "SeedStore",
    "State",
    "Tenant",
]
