"""The one SQLite connection, below outbox and members: pragmas, transactions, migrations, sealing, the data directory.

Nothing else opens SQLite. The rooms above speak SQL through `Database` and keep personal data in what `Sealer` seals.
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
