"""The handlers, a module for each kind of call: thin, one a call.

They translate HTTP to the rooms below and back, and decide nothing. What all of them use of a call is `calls.py`.
"""
