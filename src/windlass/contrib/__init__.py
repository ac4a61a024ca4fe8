"""Ties to other libraries, each a small module over the public API, each with its extra."""
