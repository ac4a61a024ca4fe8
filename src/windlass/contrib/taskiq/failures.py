"""Exceptions there and back: what a job's error says, as an exception of its own type."""

import builtins
import sys
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace as with_

from windlass.contrib.taskiq import exceptions
from windlass.contrib.taskiq.parsing import plain
from windlass.model.outcomes import ErrorInfo

CHAIN_MAX = 5  # causes of causes
DETAILS_LENGTH_MAX = 16_000


class _Told(msgspec.Struct, omit_defaults=True):
    """An exception, as the details of a job's error keep it."""

    module: str
    name: str
    args: list[Any]
    cause: "_Told | None" = None
    context: "_Told | None" = None
    suppress: bool = False


def with_details(info: ErrorInfo, error: BaseException) -> ErrorInfo:
    """Return a job's error from which ``exception_of`` makes such an exception again."""
    for depth in (CHAIN_MAX, 0):
        details = msgspec.json.encode(_told(error, depth)).decode()
        if len(details) <= DETAILS_LENGTH_MAX:
            return with_(info, details=details)
    return info  # its type and its message have to do


def exception_of(info: ErrorInfo) -> BaseException:
    """Return a job's error as an exception of its own type.

    Its class is looked up among those that this process has loaded; nothing is imported because
    of data.  One that is not here becomes a class of the same name, of ``exceptions``.
    """
    if info.details:
        try:
            return _made(msgspec.json.decode(info.details, type=_Told))
        except msgspec.MsgspecError:  # of another's making
            pass
    module, name = _place_of(info.type)
    return _made(_Told(module, name, [info.message] if info.message else []))


def _told(error: BaseException, depth: int) -> _Told:
    kind = type(error)
    told = _Told(kind.__module__, kind.__qualname__, [_argument(each) for each in error.args])
    told.suppress = error.__suppress_context__
    if depth and error.__cause__ is not None:
        told.cause = _told(error.__cause__, depth - 1)
    if depth and error.__context__ is not None and not error.__suppress_context__:
        told.context = _told(error.__context__, depth - 1)
    return told


def _argument(value: Any) -> Any:
    try:
        return plain(value)
    except (TypeError, ValueError):
        return repr(value)


def _made(told: _Told) -> BaseException:
    kind = _class_of(told.module, told.name)
    try:
        error: BaseException = kind(*told.args)
    except Exception:  # its constructor wants something else
        error = Exception(f"{told.module}.{told.name}{tuple(told.args)!r}")
    error.__cause__ = None if told.cause is None else _made(told.cause)
    error.__context__ = None if told.context is None else _made(told.context)
    error.__suppress_context__ = told.suppress
    return error


def _class_of(module: str, name: str) -> type[Exception]:
    """Return a loaded class of exceptions; a new one of its name, where there is none."""
    found: Any = builtins if module == "builtins" else sys.modules.get(module)
    for part in name.split("."):
        # Of a module that is being imported in another thread the names may be missing.
        found = UNSET if found is None else vars(found).get(part, UNSET)
        if isinstance(found, UnsetType):
            break
    if isinstance(found, type) and issubclass(found, Exception):
        return found
    return type(name.rpartition(".")[2], (Exception,), {"__module__": exceptions.__name__})


def _place_of(type_name: str) -> tuple[str, str]:
    """Return the module and the name within it, of the full name of a class."""
    parts = type_name.split(".")
    for n in range(len(parts) - 1, 0, -1):
        if (module := ".".join(parts[:n])) in sys.modules:
            return module, ".".join(parts[n:])
    return ("builtins", type_name) if len(parts) == 1 else (".".join(parts[:-1]), parts[-1])
