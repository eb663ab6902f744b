"""What holds for every test."""

import signal

# Begun in the background (by a script, with nohup) the run has SIGINT ignored, and so would what it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
