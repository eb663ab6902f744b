"""Flash keys: where they come from and are kept (`sources.py`), and how a new one comes into force (`swap.py`)."""

from agent.flashkeys.sources import WHICH, FlashKeys, Found, Source, Which, fingerprint, kept_path

__all__ = ["WHICH", "FlashKeys", "Found", "Source", "Which", "fingerprint", "kept_path"]
