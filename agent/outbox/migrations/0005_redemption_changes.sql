-- Whoever listens hears of a credit, or a voided basket, too.

CREATE TRIGGER redemption_changed AFTER UPDATE OF basis, credit ON redemption
WHEN NEW.basis <> OLD.basis OR NEW.credit IS NOT OLD.credit
BEGIN
  INSERT INTO change (operation) VALUES (NEW.seq);
END;
