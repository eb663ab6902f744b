-- The outbox. `state.py` is its twin in Python: kinds, states, what follows what.
--
-- One row an operation, for ever: a settled one loses its content after the retention time and stays as a tombstone
-- (content IS NULL), so that a late retry still meets its first answer. Whatever may be personal data is sealed
-- (content, outcome) or a keyed hash (scope, item, subjects, external_order, basket, request_key).

CREATE TABLE operation (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('sale', 'refund', 'enrollment', 'redemption', 'store', 'catalog')),
  status TEXT NOT NULL DEFAULT 'pending'
    CHECK (status IN ('pending', 'succeeded', 'declined', 'failed', 'discarded')),

  -- The natural key: what it is about (an order, a coupon, a member) and which of its operations (a refund, a basket).
  scope BLOB NOT NULL CHECK (length(scope) = 16),
  item BLOB NOT NULL CHECK (length(item) IN (0, 16)),
  generation INTEGER NOT NULL DEFAULT 1 CHECK (generation >= 1),
  current INTEGER NOT NULL DEFAULT 1 CHECK (current IN (0, 1)),    -- 1: this row holds the natural key
  fingerprint BLOB NOT NULL,                                       -- of what makes two requests the same one

  subjects TEXT NOT NULL CHECK (json_valid(subjects)),             -- its members: array of hex hashes
  blocked INTEGER NOT NULL DEFAULT 0 CHECK (blocked IN (0, 1)),    -- 1: a predecessor is not settled
  claimed INTEGER NOT NULL DEFAULT 0 CHECK (claimed IN (0, 1)),    -- 1: the relay has it in hand
  maybe_sent INTEGER NOT NULL DEFAULT 0 CHECK (maybe_sent >= 0),   -- attempts that may have reached Flash
  attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  strikes INTEGER NOT NULL DEFAULT 0 CHECK (strikes >= 0),         -- the same puzzling answer in a row
  accepted_at INTEGER NOT NULL,                                    -- milliseconds
  next_attempt_at INTEGER,
  settled_at INTEGER,

  external_order BLOB,                                             -- where it is not the scope already
  basket BLOB,
  business_date TEXT,
  request_key BLOB,                                                -- the register's own Idempotency-Key
  key_id INTEGER NOT NULL,                                         -- which data key sealed the content
  content BLOB,
  outcome_key_id INTEGER,
  outcome BLOB,

  CHECK ((status = 'pending') = (settled_at IS NULL)),
  CHECK (status = 'pending' OR (blocked = 0 AND claimed = 0 AND next_attempt_at IS NULL)),
  CHECK (claimed <= maybe_sent),
  CHECK (status <> 'discarded' OR current = 0),
  CHECK ((outcome IS NULL) = (outcome_key_id IS NULL)),
  CHECK (content IS NOT NULL OR status IN ('succeeded', 'declined', 'discarded'))
) STRICT;

-- The natural key with all its generations; also the history of an order, and who waits for whom in it.
CREATE UNIQUE INDEX operation_key ON operation (scope, item, generation);

-- What the relay may take, in the order of acceptance.
CREATE INDEX operation_ready ON operation (kind, seq) WHERE status = 'pending' AND blocked = 0 AND claimed = 0;
CREATE INDEX operation_due ON operation (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX operation_unsettled ON operation (status, seq) WHERE status IN ('pending', 'failed');

-- What the list can be asked for.
CREATE INDEX operation_external_order ON operation (external_order) WHERE external_order IS NOT NULL;
CREATE INDEX operation_basket ON operation (basket) WHERE basket IS NOT NULL;
CREATE INDEX operation_business_date ON operation (business_date, seq) WHERE business_date IS NOT NULL;

-- What retention strips next, and which tombstones it removes next.
CREATE INDEX operation_settled ON operation (settled_at) WHERE content IS NOT NULL AND settled_at IS NOT NULL;
CREATE INDEX operation_tombstone ON operation (settled_at) WHERE content IS NULL;

-- An operation of `kind` waits for earlier unsettled ones of kind `predecessor` that share its scope, or a member.
CREATE TABLE dependence (
  kind TEXT NOT NULL,
  predecessor TEXT NOT NULL,
  shared TEXT NOT NULL CHECK (shared IN ('scope', 'member')),
  PRIMARY KEY (kind, predecessor)
) STRICT, WITHOUT ROWID;
INSERT INTO dependence (kind, predecessor, shared) VALUES
  ('sale', 'enrollment', 'member'),
  ('enrollment', 'enrollment', 'member'),
  ('refund', 'sale', 'scope'),
  ('store', 'store', 'scope'),
  ('catalog', 'catalog', 'scope');

-- The members of unsettled enrollments, and of what waits for them: so small that a sale looks in vain for nothing.
CREATE TABLE subject (
  hash TEXT NOT NULL,
  kind TEXT NOT NULL,
  seq INTEGER NOT NULL REFERENCES operation (seq),
  PRIMARY KEY (hash, kind, seq)
) STRICT, WITHOUT ROWID;

-- The registers' own keys, scoped by token and kind; several may lead to one operation.
CREATE TABLE request_key (
  hash BLOB PRIMARY KEY,
  seq INTEGER NOT NULL REFERENCES operation (seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX request_key_seq ON request_key (seq);

-- Small facts by name: the data key's check value, the write key's hash, a pause that Flash asked for, and the like.
CREATE TABLE fact (
  name TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Which operations wait for which. CROSS JOIN: in this order, so that each step is an index look-up.
CREATE VIEW waiting (seq, predecessor) AS
SELECT later.seq, earlier.seq
FROM operation AS later
CROSS JOIN dependence ON dependence.kind = later.kind AND dependence.shared = 'scope'
CROSS JOIN operation AS earlier INDEXED BY operation_key ON earlier.scope = later.scope
WHERE earlier.kind = dependence.predecessor AND earlier.seq < later.seq AND earlier.status IN ('pending', 'failed')
UNION ALL
SELECT later.seq, subject.seq
FROM operation AS later
CROSS JOIN dependence ON dependence.kind = later.kind AND dependence.shared = 'member'
CROSS JOIN json_each(later.subjects) AS shared
CROSS JOIN subject ON subject.hash = shared.value AND subject.kind = dependence.predecessor
WHERE subject.seq < later.seq;

-- What is there already, has a history or must wait is passed over in silence: the writer sees that a row is missing,
-- looks, and says so itself (with its generation, or blocked). So the common insert carries no questions.
CREATE TRIGGER operation_known BEFORE INSERT ON operation
WHEN EXISTS (
    SELECT 1 FROM operation
    WHERE scope = NEW.scope AND item = NEW.item AND (current = 1 OR generation >= NEW.generation)
  )
  OR (NEW.request_key IS NOT NULL AND EXISTS (SELECT 1 FROM request_key WHERE hash = NEW.request_key))
  OR (NEW.status = 'pending' AND NEW.blocked = 0 AND EXISTS (SELECT 1 FROM subject) AND EXISTS (
    SELECT 1
    FROM json_each(NEW.subjects) AS mine
    CROSS JOIN dependence ON dependence.kind = NEW.kind AND dependence.shared = 'member'
    CROSS JOIN subject ON subject.hash = mine.value AND subject.kind = dependence.predecessor
  ))
BEGIN
  SELECT RAISE(IGNORE);
END;

CREATE TRIGGER operation_keyed AFTER INSERT ON operation
WHEN NEW.request_key IS NOT NULL
BEGIN
  INSERT INTO request_key (hash, seq) VALUES (NEW.request_key, NEW.seq);
END;

CREATE TRIGGER operation_named AFTER INSERT ON operation
WHEN (NEW.kind = 'enrollment' AND NEW.status IN ('pending', 'failed')) OR NEW.blocked = 1
BEGIN
  INSERT INTO subject (hash, kind, seq) SELECT value, NEW.kind, NEW.seq FROM json_each(NEW.subjects);
END;

-- A settled operation frees those that waited for it alone.
CREATE TRIGGER operation_done AFTER UPDATE OF status ON operation
WHEN NEW.status IN ('succeeded', 'declined', 'discarded') AND OLD.status IN ('pending', 'failed')
BEGIN
  UPDATE operation SET blocked = 0
  WHERE blocked = 1 AND scope = NEW.scope AND NOT EXISTS (SELECT 1 FROM waiting WHERE waiting.seq = operation.seq);
END;

CREATE TRIGGER enrollment_done AFTER UPDATE OF status ON operation
WHEN NEW.kind = 'enrollment'
  AND NEW.status IN ('succeeded', 'declined', 'discarded') AND OLD.status IN ('pending', 'failed')
BEGIN
  DELETE FROM subject
  WHERE hash IN (SELECT value FROM json_each(NEW.subjects)) AND kind = NEW.kind AND seq = NEW.seq;
  UPDATE operation SET blocked = 0
  WHERE blocked = 1
    AND seq IN (
      SELECT subject.seq
      FROM json_each(NEW.subjects) AS freed
      CROSS JOIN dependence ON dependence.predecessor = NEW.kind AND dependence.shared = 'member'
      CROSS JOIN subject ON subject.hash = freed.value AND subject.kind = dependence.kind
    )
    AND NOT EXISTS (SELECT 1 FROM waiting WHERE waiting.seq = operation.seq);
END;

-- Nobody looks for a freed sale by its member any more; an enrollment is looked for until it is settled.
CREATE TRIGGER operation_freed AFTER UPDATE OF blocked ON operation
WHEN OLD.blocked = 1 AND NEW.blocked = 0 AND NEW.kind <> 'enrollment'
BEGIN
  DELETE FROM subject
  WHERE hash IN (SELECT value FROM json_each(NEW.subjects)) AND kind = NEW.kind AND seq = NEW.seq;
END;

-- The log of changes: which operation took another status, in the order of the commits, whatever wrote it. Accepting
-- writes nothing here, for `seq` tells what was accepted since. Bounded by housekeeping, which never removes the newest.
CREATE TABLE change (
  n INTEGER PRIMARY KEY,
  operation INTEGER NOT NULL
) STRICT;

CREATE TRIGGER operation_changed AFTER UPDATE OF status ON operation
WHEN NEW.status <> OLD.status
BEGIN
  INSERT INTO change (operation) VALUES (NEW.seq);
END;

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

-- Operations of members who asked to be forgotten while these were not over: they are still sent, and lose their content
-- the moment they are settled, by whatever hand. A redemption is not over while it leaves a credit open.
CREATE TABLE forgotten (
  seq INTEGER PRIMARY KEY REFERENCES operation (seq)
) STRICT;

CREATE TRIGGER operation_forgotten AFTER UPDATE OF status ON operation
WHEN NEW.status IN ('succeeded', 'declined', 'discarded') AND EXISTS (SELECT 1 FROM forgotten WHERE seq = NEW.seq)
  AND NOT EXISTS (SELECT 1 FROM redemption WHERE seq = NEW.seq AND (phase <> 'settled' OR credit = 'open'))
BEGIN
  UPDATE operation SET content = NULL, outcome = NULL, outcome_key_id = NULL, subjects = '[]' WHERE seq = NEW.seq;
  DELETE FROM forgotten WHERE seq = NEW.seq;
END;

CREATE TRIGGER redemption_forgotten AFTER UPDATE OF phase, credit ON redemption
WHEN NEW.phase = 'settled' AND NEW.credit IS NOT 'open' AND EXISTS (SELECT 1 FROM forgotten WHERE seq = NEW.seq)
BEGIN
  UPDATE operation SET content = NULL, outcome = NULL, outcome_key_id = NULL, subjects = '[]'
  WHERE seq = NEW.seq AND status IN ('succeeded', 'declined', 'discarded');
  DELETE FROM forgotten WHERE seq = NEW.seq AND EXISTS (SELECT 1 FROM operation WHERE seq = NEW.seq AND content IS NULL);
END;

-- What a redemption's status does not tell: what its answer rests on, and what became of a credit.
CREATE TRIGGER redemption_changed AFTER UPDATE OF basis, credit ON redemption
WHEN NEW.basis <> OLD.basis OR NEW.credit IS NOT OLD.credit
BEGIN
  INSERT INTO change (operation) VALUES (NEW.seq);
END;

-- The rows of product catalogs: what Flash has of them, or will have when what is pending has landed. A row that says
-- the same again is left out of what is sent. Hashes alone; the rows themselves are in the operations.
CREATE TABLE catalog_row (
  row BLOB PRIMARY KEY CHECK (length(row) = 16),                   -- the source, the entity and the row's own id
  content BLOB NOT NULL CHECK (length(content) = 16),              -- what it says
  seq INTEGER NOT NULL REFERENCES operation (seq),                 -- the latest operation that carries it
  -- 1: Flash did not take it; 2: Flash did not take some row of its operation, and it is not known which
  refused INTEGER NOT NULL DEFAULT 0 CHECK (refused IN (0, 1, 2))
) STRICT, WITHOUT ROWID;

CREATE INDEX catalog_row_operation ON catalog_row (seq);
CREATE INDEX catalog_row_refused ON catalog_row (seq) WHERE refused > 0;

-- What was given up is not in Flash: it is sent again when it is found again.
CREATE TRIGGER catalog_discarded AFTER UPDATE OF status ON operation
WHEN NEW.kind = 'catalog' AND NEW.status = 'discarded'
BEGIN
  DELETE FROM catalog_row WHERE seq = NEW.seq;
END;

-- With what Flash said of a row goes the memory that it was refused.
CREATE TRIGGER catalog_stripped AFTER UPDATE OF content ON operation
WHEN NEW.kind = 'catalog' AND NEW.content IS NULL AND OLD.content IS NOT NULL
BEGIN
  DELETE FROM catalog_row WHERE seq = NEW.seq AND refused > 0;
END;

-- So the rows of articles that are no more go at last; one that is still sold is sent once more.
CREATE TRIGGER catalog_removed AFTER DELETE ON operation WHEN OLD.kind = 'catalog'
BEGIN
  DELETE FROM catalog_row WHERE seq = OLD.seq;
END;

-- Operations that were taken over from another till's disk, and whose they are: they are sent in that till's name, and
-- count in no day of this one.
CREATE TABLE rescued (
  seq INTEGER PRIMARY KEY REFERENCES operation (seq),
  store TEXT NOT NULL,
  till TEXT NOT NULL,
  taken_at INTEGER NOT NULL                                        -- milliseconds
) STRICT;

CREATE TRIGGER rescued_removed AFTER DELETE ON operation
BEGIN
  DELETE FROM rescued WHERE seq = OLD.seq;
END;
