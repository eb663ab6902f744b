"""Spool folders: other systems put their documents there, and the agent takes them in.

    keeper.py    one folder's task: what is complete, when to try, when to wait
    taking.py    one file through its adapter into the intake
    report.py    what became of a file, in words for a store's IT
    places.py    the folder on the disk: listing, moving, pruning
    watching.py  tells that something happened in a folder
    spool.py     all folders, their conditions and their state

Loaded where `[spool.folders]` names a folder, and nowhere else. A file's name may hold what should not be told: it is
in the folder and in its operations' metadata alone, never in logs, conditions or the status.
"""
