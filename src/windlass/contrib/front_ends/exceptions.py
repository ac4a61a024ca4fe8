"""Exceptions there and back: what a job's error says, as an exception of its own class.

The details of an error keep the arguments and the causes of an exception, beside the message and
the traceback that people read.  Made anew is only an exception whose class this process has
loaded already: nothing is imported because data names it, no module's ``__getattr__`` is called,
and nothing is made that is no Exception.
"""

import builtins
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import msgspec
from msgspec.structs import replace as with_

from windlass.core.capture import DETAILS_LENGTH_MAX, carry_details, error_message, type_name
from windlass.model.outcomes import ErrorInfo

CHAIN_MAX = 5  # causes of causes

Make = Callable[[str, list[Any]], Exception]  # of the full name of a class, and arguments


class Told(msgspec.Struct, omit_defaults=True):
    """An exception as plain data; ``type`` is the full name of its class."""

    type: str
    args: list[Any] = []
    cause: "Told | None" = None
    context: "Told | None" = None
    suppress: bool = False


@dataclass(frozen=True)
class Exceptions:
    """How the exceptions of a front end travel.

    to_plain, from_plain: an argument to plain data and back; one that has no such form (TypeError,
              ValueError) travels as its ``repr``.
    unloaded: makes one whose class is not loaded.
    misfit:   makes one whose class does not take its arguments.
    chain_max: how many causes of causes travel too.
    """

    to_plain: Callable[[Any], Any]
    from_plain: Callable[[Any], Any]
    unloaded: Make
    misfit: Make
    chain_max: int = 0

    def carry(self, error: BaseException, told: BaseException | None = None) -> None:
        """Have an exception carry what its job's error has to keep, also out of a child process.

        told: the one that is to be made anew, if it is another.
        """
        details = self._details(told or error, type_name(type(error)), error_message(error))
        carry_details(error, details)

    def with_details(self, info: ErrorInfo, error: BaseException) -> ErrorInfo:
        """Return a job's error from which ``made`` makes such an exception again."""
        return with_(info, details=self._details(error, info.type, info.message))

    def made(self, info: ErrorInfo) -> Exception:
        """Return an exception as a job's error tells it."""
        if info.details:
            try:
                return self._made(msgspec.json.decode(info.details, type=Told))
            except msgspec.MsgspecError:  # of another's making
                pass
        return self._made(_told_by(info.type, info.message))

    def _details(self, error: BaseException, type_name: str, message: str) -> str:
        """Return an exception as text; "" if type and message say it all already."""
        for depth in (self.chain_max, 0):
            told = self._told(error, depth)
            if told == _told_by(type_name, message):
                break
            text = msgspec.json.encode(told).decode()
            if len(text) <= DETAILS_LENGTH_MAX:
                return text
        return ""  # what is too long has to do with type and message

    def _told(self, error: BaseException, depth: int) -> Told:
        told = Told(type_name(type(error)), [self._argument(each) for each in error.args])
        if not depth:
            return told
        told.suppress = error.__suppress_context__
        if error.__cause__ is not None:
            told.cause = self._told(error.__cause__, depth - 1)
        if error.__context__ is not None and not error.__suppress_context__:
            told.context = self._told(error.__context__, depth - 1)
        return told

    def _argument(self, value: Any) -> Any:
        try:
            return self.to_plain(value)
        except (TypeError, ValueError, RecursionError):
            return repr(value)

    def _made(self, told: Told) -> Exception:
        args = self.from_plain(told.args)
        kind = loaded_class(told.type)
        if kind is None:
            error = self.unloaded(told.type, args)
        else:
            try:
                error = kind(*args)
            except Exception:  # its constructor wants something else
                error = self.misfit(told.type, args)
        set_cause(error, None if told.cause is None else self._made(told.cause))
        _set(error, "__context__", None if told.context is None else self._made(told.context))
        _set(error, "__suppress_context__", told.suppress)
        return error


def set_cause(error: BaseException, cause: BaseException | None) -> None:
    """Set what an exception was raised from, also of one of which nothing may be set."""
    _set(error, "__cause__", cause)


def _set(error: BaseException, name: str, value: object) -> None:
    BaseException.__setattr__(error, name, value)  # one may be a frozen dataclass


def loaded_class(full_name: str) -> type[Exception] | None:
    """Return the class of exceptions of this full name, if its module is loaded."""
    module_name, _, path = full_name.rpartition(".")
    while module_name and module_name not in sys.modules:
        module_name, _, last = module_name.rpartition(".")
        path = f"{last}.{path}"
    if module_name or "." not in full_name:
        found: Any = sys.modules[module_name] if module_name else builtins
        for part in path.split("."):
            if not isinstance(found, ModuleType | type):
                return None
            found = vars(found).get(part)  # no getattr: a module's own might import
        if isinstance(found, type) and issubclass(found, Exception):
            return found
    return None


def _told_by(type_name: str, message: str) -> Told:
    return Told(type_name, [message] if message else [])
