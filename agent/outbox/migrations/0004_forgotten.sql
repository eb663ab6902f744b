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
