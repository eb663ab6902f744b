-- Operations of members who asked to be forgotten while these were not settled: they are still sent, and lose their
-- content the moment they are settled, by whatever hand.
CREATE TABLE forgotten (
  seq INTEGER PRIMARY KEY REFERENCES operation (seq)
) STRICT;

CREATE TRIGGER operation_forgotten AFTER UPDATE OF status ON operation
WHEN NEW.status IN ('succeeded', 'declined', 'discarded') AND EXISTS (SELECT 1 FROM forgotten WHERE seq = NEW.seq)
BEGIN
  UPDATE operation SET content = NULL, outcome = NULL, outcome_key_id = NULL, subjects = '[]' WHERE seq = NEW.seq;
  DELETE FROM forgotten WHERE seq = NEW.seq;
END;
