"""Composition: the command line, the server, the worker, subscriptions."""
