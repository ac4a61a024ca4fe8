"""Tests of user code: those of Windlass run jobs on demand."""

from windlass.contrib.qtasks.refusals import TESTS, refusing

__getattr__ = refusing("qtasks.tests", TESTS)
