"""Members at the counter: snapshots of those this till has met, look-ups, and what keeps both in step with Flash."""

from pathlib import Path

SCHEMA = Path(__file__).parent / "schema.sql"
MIGRATIONS = Path(__file__).parent / "migrations"
