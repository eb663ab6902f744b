"""The command line: `main.py` hands over to the command's module in `commands/`; what those are made of lies here.

Commands about a running agent talk to it through its local API (`client.py`).
"""
