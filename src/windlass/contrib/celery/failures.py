"""Exceptions on their way from an attempt to who asks for the result, as Celery tells them."""

from typing import Any

from windlass import TaskError
from windlass.contrib.celery import exceptions
from windlass.contrib.celery.values import from_plain, to_plain
from windlass.contrib.front_ends.exceptions import Exceptions, set_cause
from windlass.model.outcomes import ErrorInfo


class RemoteTraceback(Exception):
    """The traceback of where it happened: the cause of what ``get`` raises."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def _stand_in(name: str, args: list[Any]) -> Exception:
    module, _, short = name.rpartition(".")
    kind = type(short or "TaskError", (TaskError,), {"__module__": module or "builtins"})
    made: Exception = kind(*args)
    return made


_TRAVEL = Exceptions(to_plain, from_plain, unloaded=_stand_in, misfit=_stand_in)


def carry_arguments(error: BaseException) -> None:
    """Have an exception carry its arguments to those who wait for the result.

    Of a retry it is the exception for which it was asked that they are told of.
    """
    _TRAVEL.carry(error, error.exc if isinstance(error, exceptions.Retry) else None)


def exception_of(error: ErrorInfo) -> Exception:
    """Return an exception that ended, or interrupted, a job; its cause shows where that was."""
    made = _TRAVEL.made(error)
    set_cause(made, RemoteTraceback(error.traceback))
    return made
