"""The durable queue of operations, and the relay that sends them.

It knows no transport: it is handed a Sender.

    store                           all of it behind one interface
    operation, rows, state          what is kept, as values and as rows; the states, and which moves are legal
    accepting, arrival, slow_way    a draft becomes a row, once, or finds the one it repeats
    relay, attempts, waiting        what is ready is sent, and whoever waits hears of it
    line, pace, patience, keyguard  whether anything may be sent now, how much at once, and with which key
    retry, settling, changes        what an outcome makes of an operation, written, and told to whom it concerns
    redemptions, redemption_rows    coupons: the moves between their states
    exposure                        coupons honored without Flash's word
    catalog_rows, projected         which rows of catalogs Flash has; what it has not counted yet of members
    reading, history, day           one operation, pages, what happened since, a day
    housekeeping, forgetting        what goes: by age, or with a member
    resealing                       sealed anew with another data key
    completeness, salvage           whether anything is missing at a start; what a damaged database still holds
    till, left, rescued             whose directory it is; a dead till's operations read out, and taken in elsewhere
"""

from pathlib import Path

SCHEMA = Path(__file__).parent / "schema.sql"
MIGRATIONS = Path(__file__).parent / "migrations"
