"""What holds for every test."""

import asyncio
import signal

# Begun in the background (by a script, with nohup) the run has SIGINT ignored, and so would what it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Else asyncio makes a loop for the first that asks for it, which nobody closes, and a later test is blamed.
asyncio.set_event_loop(None)
