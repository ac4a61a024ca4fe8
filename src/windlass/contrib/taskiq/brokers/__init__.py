"""Brokers: with a store, in memory, and none yet."""
