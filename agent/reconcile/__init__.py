"""What this till sent against what Flash has: the feed of changed orders, the ledger of both sides, the differences."""
