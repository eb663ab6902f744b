"""What a dead till still holds, brought to Flash through another one.

`disk.py` borrows a copy of its data directory, `exporting.py` reads what is left, `travelling.py` is the form in which
it travels, `natural.py` says by what every till knows it, `taking.py` puts it into a running till's outbox.
"""
