"""The upstream: what goes over the wire, what an answer means, and the client that carries both."""
