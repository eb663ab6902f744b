"""Data keys over time: a new one while the agent sells (`rotation.py`), all sealed to head office (`recovery.py`).

What they are and how they are kept is storage's: `sealing.py`, `keyfile.py`.
"""
