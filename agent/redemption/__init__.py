"""Redemptions at the counter: a coupon is burned while a register waits; what a wait's end left open is cleared up.

Their rows are the outbox's (`agent/outbox/redemptions.py`), what is known of coupons the members room's. Why all this:
docs/decisions/0008-redemptions.md.
"""
