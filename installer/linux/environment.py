"""Before the program: the loader's search path is for us alone, not for the programs that we start.

PyInstaller's start-up points LD_LIBRARY_PATH at our own libraries. The loader has read it by now; systemctl, started
by us, would otherwise get our OpenSSL in place of the machine's.
"""

import os

_before = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
if _before is None:
    os.environ.pop("LD_LIBRARY_PATH", None)
else:
    os.environ["LD_LIBRARY_PATH"] = _before
