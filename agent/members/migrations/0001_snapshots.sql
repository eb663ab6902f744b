-- What this till remembers of members: a cache of Flash, sealed. Whatever may be personal data is sealed column by column
-- (bound to the row's own id and the column) or a keyed hash.
--
-- Times are milliseconds by Flash's clock where it was known (clock_known = 1), else by the till's.

CREATE TABLE member (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,                                      -- the row's, to which its sealed columns are bound
  met_at INTEGER,                                               -- NULL: held for the store, never met here
  looked_at INTEGER,                                            -- when Flash was last asked for all of it
  due INTEGER NOT NULL DEFAULT 0 CHECK (due IN (0, 1)),         -- 1: changed at Flash, to be asked for again
  clock_known INTEGER NOT NULL CHECK (clock_known IN (0, 1)),
  profile BLOB NOT NULL,
  profile_at INTEGER NOT NULL,
  points BLOB,
  points_at INTEGER,
  tier BLOB,
  tier_at INTEGER,
  coupons BLOB,
  coupons_at INTEGER,
  CHECK ((points IS NULL) = (points_at IS NULL)),
  CHECK ((tier IS NULL) = (tier_at IS NULL)),
  CHECK ((coupons IS NULL) = (coupons_at IS NULL))
) STRICT;

-- Who goes first when there are too many, and who is too old.
CREATE INDEX member_met ON member (met_at);
CREATE INDEX member_due ON member (met_at) WHERE due = 1;

-- The subjects that lead to a member: its id, external id and e-mail, as the outbox hashes them.
CREATE TABLE member_key (
  hash BLOB PRIMARY KEY CHECK (length(hash) = 16),
  seq INTEGER NOT NULL REFERENCES member (seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX member_key_seq ON member_key (seq);

-- Coupons that this till saw active for a member; kept longer than snapshots, for a redemption in doubt asks for them.
CREATE TABLE sighting (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,                                      -- as in member
  coupon BLOB NOT NULL CHECK (length(coupon) = 16),
  member BLOB NOT NULL CHECK (length(member) = 16),             -- the subject of the member's id
  keys TEXT NOT NULL CHECK (json_valid(keys)),                  -- all subjects known then: array of hex hashes
  active INTEGER NOT NULL CHECK (active IN (0, 1)),             -- 1: so it was listed when this till last looked
  seen_at INTEGER NOT NULL,                                     -- when this till last looked
  clock_known INTEGER NOT NULL CHECK (clock_known IN (0, 1)),
  content BLOB NOT NULL,
  UNIQUE (coupon, member)
) STRICT;

CREATE INDEX sighting_member ON sighting (member);
CREATE INDEX sighting_seen ON sighting (seen_at);

-- How far the feed of changed members was followed; written with the rows it brought, in one transaction.
CREATE TABLE feed (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  everyone INTEGER NOT NULL CHECK (everyone IN (0, 1)),         -- 1: the whole store is held
  since TEXT NOT NULL,                                          -- as Flash wrote it
  newest TEXT NOT NULL,                                         -- the newest change seen in this round
  cursor BLOB                                                   -- sealed, for Flash may have put anything into it
) STRICT;
