"""What the API answers, as models, a module for each kind of call.

They describe it in the OpenAPI document, which finds them by their names and alone loads them.
"""
