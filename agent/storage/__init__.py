"""The one SQLite connection, below outbox and members: pragmas, transactions, migrations, sealing, the data directory.

Nothing else opens SQLite. The rooms above speak SQL through `Database` and keep personal data in what `Sealer` seals.

    database, connection, transactions     the one connection: opened, reopened, between BEGIN and COMMIT
    statements, migrations                 pieces of SQL; from one schema to the next
    sealing, keyfile, protection, windows  contents sealed; the data keys' file, and what protects it
    datadir, durable                       the directory, one agent's alone; small files, there when a call returns
    upgrade, upgrade_record, figures       a version that does not get ready gives the database back
    mark, inspection, copying              what was acknowledged last; a database looked at, or copied, unchanged
    quarantine, damaged, log_pages         damage set aside, and read around
"""

from agent.storage.connection import Row
from agent.storage.database import LOG_BYTES, Database, IntegrityError
from agent.storage.datadir import DataDir
from agent.storage.durable import write_durably
from agent.storage.keyfile import KeyFile
from agent.storage.sealing import DataKeys, NoSealer, Sealer
from agent.storage.transactions import Transaction
from agent.storage.upgrade import Upgrade

__all__ = [
    "LOG_BYTES",
    "DataDir",
    "DataKeys",
    "Database",
    "IntegrityError",
    "KeyFile",
    "NoSealer",
    "Row",
    "Sealer",
    "Transaction",
    "Upgrade",
    "write_durably",
]
