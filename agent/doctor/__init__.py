"""What is wrong with this till, found from outside the agent: `flash-agent doctor` and `flash-agent support-bundle`.

Each check looks at one thing, within a time limit of its own, and says what it found as findings of the catalogue. None
changes anything at Flash; on the disk a few small files are made in the data directory and removed again. Nothing here
is imported by a running agent, which answers for what it alone can know through `GET /v1/diagnostics`.
"""
