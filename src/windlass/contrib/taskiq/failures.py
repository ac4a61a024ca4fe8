"""Exceptions there and back, as taskiq tells them: with the causes that they had."""

from typing import Any

from windlass.contrib.front_ends.exceptions import CHAIN_MAX, Exceptions
from windlass.contrib.taskiq import exceptions
from windlass.contrib.taskiq.parsing import plain


def _unloaded(name: str, args: list[Any]) -> Exception:
    """Return one of a class of the same name, of ``exceptions``."""
    kind = type(name.rpartition(".")[2], (Exception,), {"__module__": exceptions.__name__})
    made: Exception = kind(*args)
    return made


def _misfit(name: str, args: list[Any]) -> Exception:
    return Exception(f"{name if '.' in name else f'builtins.{name}'}{tuple(args)!r}")


_TRAVEL = Exceptions(plain, lambda args: args, _unloaded, _misfit, CHAIN_MAX)
with_details = _TRAVEL.with_details
exception_of = _TRAVEL.made
