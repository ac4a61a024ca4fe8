"""Ties to other libraries, each a small module over the public API, some with an extra."""
