-- What a redemption is beyond its operation, in plain columns and hashes: it stays with the tombstone, so that a repeat
-- still meets its first answer.
CREATE TABLE redemption (
  seq INTEGER PRIMARY KEY REFERENCES operation (seq),
  basket BLOB NOT NULL CHECK (length(basket) = 16),                -- coupon, store, till, business date, transaction
  -- posting: a register waits; unknown: it may have been burned; owed: honored offline and to be sent
  phase TEXT NOT NULL CHECK (phase IN ('posting', 'unknown', 'owed', 'settled')),
  honor INTEGER NOT NULL DEFAULT 0 CHECK (honor IN (0, 1)),
  basis TEXT NOT NULL DEFAULT 'unconfirmed',
  credit TEXT CHECK (credit IN ('open', 'used', 'closed')),        -- burned, not honored
  first_asked_at INTEGER,                                          -- milliseconds
  last_asked_at INTEGER,

  -- The exposure ledger: what was honored without Flash's word.
  day TEXT,
  till TEXT,
  member BLOB,
  value TEXT,                                                      -- money, where the coupon says
  lost INTEGER NOT NULL DEFAULT 0 CHECK (lost IN (0, 1)),          -- 1: Flash refused it later

  CHECK (honor = 0 OR credit IS NULL),                             -- one discount a burn
  CHECK (phase <> 'owed' OR honor = 1),
  CHECK (day IS NULL OR honor = 1)
) STRICT;

CREATE INDEX redemption_basket ON redemption (basket);
CREATE INDEX redemption_unsettled ON redemption (seq) WHERE phase <> 'settled';
CREATE INDEX redemption_credit ON redemption (seq) WHERE credit = 'open';
CREATE INDEX redemption_day ON redemption (day) WHERE day IS NOT NULL;

-- Baskets that were voided, whether or not anything had been redeemed in them.
CREATE TABLE voided_basket (
  basket BLOB PRIMARY KEY CHECK (length(basket) = 16),
  voided_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER redemption_removed AFTER DELETE ON operation WHEN OLD.kind = 'redemption'
BEGIN
  DELETE FROM redemption WHERE seq = OLD.seq;
END;
