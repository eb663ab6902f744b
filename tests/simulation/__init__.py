"""The agent on a virtual clock, with a model of Flash and every fault that a seed can think of.

`plan.py` makes a list of events from a seed; `run.py` lets them happen to agents (the shipped composition, real SQLite
files) in one event loop whose time jumps (`loop.py`); `oracle.py` says what was not as promised; `shrink.py` makes a
failing plan small. `python -m tests.simulation` is the command line, `make simulate` calls it.
"""
