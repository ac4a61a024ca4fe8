"""Decisions (layer 1): pure functions.  No I/O, no clock, no randomness."""
