"""Serializers: refused, for a setting says how jobs are stored."""

from windlass.contrib.taskiq.unsupported import refusing_module

__getattr__ = refusing_module(__name__)
