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
