"""Nouns (layer 0): plain data that every other layer speaks in."""
