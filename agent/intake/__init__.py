"""The only way in: a document becomes a draft, is stored durably, and only then acknowledged.

    intake.py        from a request to an operation that is accepted, or one that it repeats
    drafting.py      every fault is named, or what goes upstream (path, body, key) is fixed for good
    upstream_ids.py  the ids by which Flash knows this till's orders and refunds
    common_sale.py   the ordinary sale, read by a shortcut

What a register posted and what an adapter found passes here, and nowhere else.
"""

from agent.intake.drafting import Request
from agent.intake.intake import Intake

__all__ = ["Intake", "Request"]
