"""Executors (layer 3): where an attempt's code runs."""
