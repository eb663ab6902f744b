"""How the agent's process is set up for a busy loop."""

import subprocess
import sys


def test_what_stays_for_good_is_left_out_of_collections_and_garbage_still_goes():
    script = """
import gc, weakref
from agent.cli import process
process.collect_less()
assert not gc.get_stats()[2]["collections"]
import agent.app
assert not gc.get_stats()[2]["collections"], "it went through all that is loaded while more was"
assert gc.get_freeze_count() == 0
process.spare_collections()
assert gc.get_freeze_count() > 10_000
assert len(gc.get_objects()) < 1000

class Knot:
    def __init__(self):
        self.itself = self

knots = [weakref.ref(Knot()) for _ in range(2 * process.YOUNG_OBJECTS)]
assert not all(knot() for knot in knots)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)
