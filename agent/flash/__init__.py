"""The upstream: what goes over the wire, what an answer means, and the client that carries both.

    client, transport, address  one call, within one time limit
    wire                        paths, bodies, idempotency keys
    outcome                     what an answer means for an operation
    reads, readings             members, points, coupons, feeds; every reading that the contract leaves open
    harmless, keycheck          calls that change nothing, and what they show of a key

One table says what an answer means; nothing else decides a fate.
"""
