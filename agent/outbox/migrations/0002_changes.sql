-- What happened to operations, in the order of the commits: whoever was away reads on from where it was.

CREATE TABLE change (
  n INTEGER PRIMARY KEY,
  operation INTEGER NOT NULL
) STRICT;

CREATE TRIGGER operation_changed AFTER UPDATE OF status ON operation
WHEN NEW.status <> OLD.status
BEGIN
  INSERT INTO change (operation) VALUES (NEW.seq);
END;
