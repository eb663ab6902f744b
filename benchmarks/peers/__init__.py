"""What the agent is compared with: servers and libraries that keep a sale durably, a server that does not."""
