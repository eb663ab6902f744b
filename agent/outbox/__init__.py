"""The durable queue of operations, and the relay that sends them. It knows no transport: it is handed a Sender."""
