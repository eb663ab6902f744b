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
