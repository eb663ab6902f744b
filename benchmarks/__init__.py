"""Side-by-side measurements of the agent and its peers: ``python -m benchmarks``.

Nothing here is shipped. The agent is a black box: a process that is started, spoken to over HTTP and stopped
(``peers/hollow.py`` alone looks inside, to build the agent's own server without its storage).
Linux only: memory and wakeups come from /proc.
"""
