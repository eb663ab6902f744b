"""What holds for every test."""

import asyncio
import signal

# Begun in the background (by a script, with nohup) the run has SIGINT ignored, and so would what it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Who asks asyncio for a loop where none runs is told so at once. Else the first is made one, which nobody closes, and
# whatever test is running when it is collected is blamed.
asyncio.set_event_loop(None)
