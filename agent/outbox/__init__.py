"""The durable queue of operations, and the relay that sends them. It knows no transport: it is handed a Sender."""

from pathlib import Path

SCHEMA = Path(__file__).parent / "schema.sql"
MIGRATIONS = Path(__file__).parent / "migrations"
