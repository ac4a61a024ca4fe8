"""Progress: refused, for Windlass has its own."""

from windlass.contrib.taskiq.unsupported import refusing_module

__getattr__ = refusing_module(__name__)
