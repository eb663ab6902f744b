"""The command line: one module a command. Commands about a running agent talk to it through its local API."""
