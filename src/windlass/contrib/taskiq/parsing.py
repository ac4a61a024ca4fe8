"""Arguments and results, to plain data and back to the types of annotations.

As taskiq does it: with pydantic, where that is installed, and leniently: what does not fit its
annotation stays as it came.
"""

import functools
import inspect
import logging
import typing
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

import msgspec

from windlass.contrib.taskiq.message import TaskiqMessage

log = logging.getLogger("windlass.taskiq")
_Kind = inspect.Parameter


def plain(value: Any) -> Any:
    """Return a value as JSON has it; bytes as the text which they hold.

    Raises: TypeError, ValueError, for what has no form in JSON.
    """
    keep = (bytes, bytearray)
    return _texts(msgspec.to_builtins(value, str_keys=True, builtin_types=keep, enc_hook=_other))


def _other(value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(type(value), "model_dump"):  # a model of pydantic
        return value.model_dump(mode="json")
    raise TypeError(f"objects of type {type(value).__qualname__!r} have no form in JSON")


def _texts(value: Any) -> Any:
    match value:
        case bytes() | bytearray():
            return value.decode()
        case list() | tuple() | set() | frozenset():
            return [_texts(each) for each in value]
        case dict():
            return {name: _texts(each) for name, each in value.items()}
    return value


def parsed(kind: Any, value: Any) -> Any:
    """Return plain data as the type of an annotation.  Raises: ValueError, for a misfit."""
    return _parser(kind)(value)


@functools.lru_cache(maxsize=1024)
def _parser(kind: Any) -> Callable[[Any], Any]:
    try:
        import pydantic
    except ImportError:
        return functools.partial(_by_msgspec, kind)
    try:
        parse: Callable[[Any], Any] = pydantic.TypeAdapter(kind).validate_python
    except pydantic.errors.PydanticUserError as error:
        raise ValueError(str(error)) from error
    return parse


def _by_msgspec(kind: Any, value: Any) -> Any:
    if kind is bytes and isinstance(value, str):
        return value.encode()
    try:
        return msgspec.convert(value, kind, strict=False, str_keys=True)
    except (msgspec.ValidationError, TypeError) as error:
        raise ValueError(str(error)) from error


def result_as(kind: Any, value: Any) -> Any:
    """Return a result as its task's annotation says; as it came, where it does not fit."""
    if kind is None:
        return value
    try:
        return parsed(kind, value)
    except (ValueError, TypeError) as error:
        log.warning("a result does not fit its annotation %s: %s", kind, error)
        return value


@functools.lru_cache(maxsize=1024)
def hints_of(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the types of a function's parameters and of its result."""
    return typing.get_type_hints(function)


def parse_arguments(function: Callable[..., Any], message: TaskiqMessage) -> None:
    """Turn a message's arguments into what the annotations of the function say."""
    hints, given = hints_of(function), message.args
    place = -1
    for parameter in inspect.signature(function).parameters.values():
        name, kind = parameter.name, hints.get(parameter.name)
        by_place = parameter.kind in (_Kind.POSITIONAL_ONLY, _Kind.POSITIONAL_OR_KEYWORD)
        place += by_place
        if kind is None or parameter.kind is _Kind.VAR_KEYWORD:
            continue
        if parameter.kind is _Kind.VAR_POSITIONAL:
            given[place + 1 :] = [_lenient(name, kind, each) for each in given[place + 1 :]]
        elif by_place and place < len(given):
            given[place] = _lenient(name, kind, given[place])
        elif name in message.kwargs:
            message.kwargs[name] = _lenient(name, kind, message.kwargs[name])


def _lenient(name: str, kind: Any, value: Any) -> Any:
    if value is None:
        return None
    try:
        return parsed(kind, value)
    except (ValueError, TypeError, RuntimeError) as error:
        log.warning("argument %r does not fit its annotation %s: %s", name, kind, error)
        return value
