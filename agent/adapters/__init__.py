"""Adapters turn other systems' documents into canonical operations. They see `model` and `errors` alone."""
