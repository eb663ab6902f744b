"""What adapters found in other systems' documents, taken in: the way from an item to operations of the outbox.

    items.py      every item, in the document's order, through the same intake as a register's documents
    catalogs.py   the rows of product catalogs: what is new of them, cut into operations

Called by the API (`POST /v1/documents`), the spool and through them by `flash-agent import`.
"""

from agent.importing.catalogs import CatalogTaken
from agent.importing.items import Importing, Taken, catalog_totals, totals

__all__ = ["CatalogTaken", "Importing", "Taken", "catalog_totals", "totals"]
