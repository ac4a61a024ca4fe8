"""Progress: refused, for Windlass has its own."""

from typing import NoReturn

from windlass.contrib.taskiq.unsupported import refuse_name


def __getattr__(name: str) -> NoReturn:
    refuse_name(name, __name__)
