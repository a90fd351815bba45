"""The kernel: money, ids, clock, refusals and facts.

Pure: no I/O, no settings, no other room. Every room may use it; it uses nobody.
"""
