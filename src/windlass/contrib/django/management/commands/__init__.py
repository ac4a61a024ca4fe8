"""One command for everything, and one for workers."""
