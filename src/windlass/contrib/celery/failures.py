"""Exceptions on their way from an attempt to who asks for the result.

A job keeps the type, the message and the traceback of what it raised.  The arguments of an
exception travel as a note at the end of its traceback, where they are no longer its message.
Made anew is only an exception whose class is loaded already; nothing is imported because data
names it, and nothing is made that is no Exception.
"""

import builtins
import json
import sys
from types import ModuleType
from typing import Any

from windlass import TaskError
from windlass.contrib.celery import exceptions
from windlass.contrib.celery.values import from_plain, to_plain
from windlass.core.capture import type_name
from windlass.model.outcomes import ErrorInfo

NOTE = "arguments for celery: "


class RemoteTraceback(Exception):
    """The traceback of where it happened: the cause of what ``get`` raises."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def note_arguments(error: BaseException) -> None:
    """Have an exception carry its arguments to those who wait for the result."""
    told = error.exc if isinstance(error, exceptions.Retry) and error.exc else error
    if told is error and error.args == (str(error),):
        return
    facts: dict[str, Any] = {"args": [_told(each) for each in told.args]}
    if told is not error:
        facts["type"] = type_name(type(told))
    line = json.dumps(facts)
    if not any(note == NOTE + line for note in getattr(error, "__notes__", ())):
        error.add_note(NOTE + line)


def exception_of(error: ErrorInfo) -> Exception:
    """Return an exception that ended, or interrupted, a job; its cause shows where that was."""
    text, facts = _split(error.traceback)
    name = facts.get("type", error.type)
    args = from_plain(facts.get("args", [error.message]))
    made = _made(name, args)
    made.__cause__ = RemoteTraceback(text)
    return made


def traceback_of(error: ErrorInfo) -> str:
    """Return the traceback of where it happened, as text."""
    return _split(error.traceback)[0]


def _told(value: Any) -> Any:
    try:
        return to_plain(value)
    except (TypeError, RecursionError):
        return repr(value)


def _split(traceback: str) -> tuple[str, dict[str, Any]]:
    """Return a traceback without the note of the last exception in it, and what that says."""
    lines = traceback.splitlines(keepends=True)
    if not lines or not lines[-1].startswith(NOTE):
        return traceback, {}
    try:
        facts = json.loads(lines[-1].removeprefix(NOTE))
    except ValueError:
        return traceback, {}
    return "".join(lines[:-1]), facts if isinstance(facts, dict) else {}


def _made(name: str, args: list[Any]) -> Exception:
    kind = _class_of(name)
    if kind is not None:
        try:
            return kind(*args)
        except Exception:  # its constructor wants something else
            return _stand_in(name, args)
    return _stand_in(name, args)


def _stand_in(name: str, args: list[Any]) -> Exception:
    module, _, short = name.rpartition(".")
    kind = type(short or "TaskError", (TaskError,), {"__module__": module or "builtins"})
    made: Exception = kind(*args)
    return made


def _class_of(name: str) -> type[Exception] | None:
    """Return the class of this full name, if its module is loaded."""
    module_name, path = "builtins", name
    if "." in name:
        parts = name.split(".")
        for n in range(len(parts) - 1, 0, -1):
            if ".".join(parts[:n]) in sys.modules:
                module_name, path = ".".join(parts[:n]), ".".join(parts[n:])
                break
        else:
            return None
    found: Any = builtins if module_name == "builtins" else sys.modules[module_name]
    for part in path.split("."):
        if not isinstance(found, ModuleType | type):
            return None
        found = vars(found).get(part)  # no getattr: a module's own might import
    if isinstance(found, type) and issubclass(found, Exception):
        return found
    return None
