"""Signatures: the arguments and the result of a task as bytes, and back as their types.

A payload is a JSON object from parameter names to values.  Arguments are checked
where they are given: they are encoded and decoded once at enqueue, so that what a
worker would refuse is refused there, by the name of the field.
"""

import functools
import inspect
import re
import typing
from collections.abc import Callable, Collection, Iterator
from pathlib import PurePath
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from windlass.errors import BadArguments, BadTask, NotEncodable, PayloadTooLarge

_FIELD = re.compile(r"at `\$\.(?P<field>[^`.\[]+)")
_Kind = inspect.Parameter
Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class Signature:
    """How one function's arguments and result travel.

    injected: the parameters that are no part of a payload; decoding gives none of them.
    """

    def __init__(
        self, task: str, function: Callable[..., Any], injected: Collection[str] = ()
    ) -> None:
        self.task = task
        everything = list(parameters_of(task, function))
        self._parameters = [p for p in everything if p.name not in injected]
        hints = hints_of(task, function)
        fields = [_field(p, hints.get(p.name, Any)) for p in self._parameters]
        self._plain = self._parameters == everything[: len(self._parameters)] and all(
            p.kind is _Kind.POSITIONAL_OR_KEYWORD and p.default is _Kind.empty
            for p in self._parameters
        )
        self._bind = inspect.Signature(self._parameters).bind
        self._struct = msgspec.defstruct(
            "Arguments", fields, kw_only=not self._plain, forbid_unknown_fields=True, gc=False
        )
        self._encode = msgspec.json.Encoder(enc_hook=_encode_other).encode
        self._decode = _decoder(task, self._struct, "arguments")
        result_type = hints.get("return", Any)
        self._decode_result = _decoder(task, result_type, "result")

    def encode(self, args: tuple[Any, ...], kwargs: dict[str, Any], limit_bytes: int) -> bytes:
        """Return the payload for a call.

        Raises: BadArguments (names the field), NotEncodable, PayloadTooLarge.
        """
        arguments = self._arguments(args, kwargs)
        try:
            payload = self._encode(arguments)
        except Exception as error:
            raise self._not_encodable(arguments, error) from error
        try:
            self._decode(payload)
        except msgspec.ValidationError as error:
            raise _bad_arguments(self.task, error) from error
        if len(payload) > limit_bytes:
            raise PayloadTooLarge(self.task, "arguments", len(payload), limit_bytes)
        return payload

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return tuple(parameter.name for parameter in self._parameters)

    def bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return a call's arguments by name, with the defaults of those not given.

        Raises: BadArguments.
        """
        try:
            bound = self._bind(*args, **kwargs)
        except TypeError as error:
            raise self._misfit(args, kwargs, error) from None
        bound.apply_defaults()
        return bound.arguments

    def decode(self, payload: bytes) -> Arguments:
        """Return the call's arguments as their annotated types.

        Raises: BadArguments, if the payload does not fit this function any more.
        """
        try:
            arguments = self._decode(payload)
        except msgspec.DecodeError as error:
            raise _bad_arguments(self.task, error) from error
        except Exception as error:  # a user's type may raise anything from its constructor
            raise BadArguments(self.task, None, f"{type(error).__name__}: {error}") from error
        if self._plain:
            return msgspec.structs.astuple(arguments), {}
        return self._call(arguments)

    def encode_result(self, value: Any, limit_bytes: int) -> bytes | None:
        """Return the stored form of a result; None for None, which is the common case.

        Raises: NotEncodable, PayloadTooLarge.
        """
        if value is None:
            return None
        try:
            data = self._encode(value)
        except Exception as error:
            raise NotEncodable(self.task, None, str(error)) from error
        if len(data) > limit_bytes:
            raise PayloadTooLarge(self.task, "result", len(data), limit_bytes)
        return data

    def decode_result(self, data: bytes | None) -> Any:
        """Return a stored result as the function's return type; as plain data if it misfits."""
        if data is None:
            return None
        try:
            return self._decode_result(data)
        except msgspec.ValidationError:
            return decode_plain(data)  # the annotation was wrong; the value is not lost

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            if self._plain:
                return self._struct(*args, **kwargs)
            return self._struct(**self._bind(*args, **kwargs).arguments)
        except TypeError as error:
            raise self._misfit(args, kwargs, error) from None

    def _misfit(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], error: TypeError
    ) -> BadArguments:
        try:
            self._bind(*args, **kwargs)
        except TypeError as told:
            error = told
        quoted = re.search(r"'([^']+)'", str(error))
        return BadArguments(self.task, quoted.group(1) if quoted else None, str(error))

    def _not_encodable(self, arguments: Any, error: Exception) -> NotEncodable:
        for name in arguments.__struct_fields__:
            try:
                self._encode(getattr(arguments, name))
            except Exception as cause:
                return NotEncodable(self.task, name, str(cause))
        return NotEncodable(self.task, None, str(error))

    def _call(self, arguments: Any) -> Arguments:
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for parameter in self._parameters:
            value = getattr(arguments, parameter.name)
            if value is UNSET:
                continue
            match parameter.kind:
                case _Kind.POSITIONAL_ONLY:
                    args.append(value)
                case _Kind.VAR_POSITIONAL:
                    args.extend(value)
                case _Kind.VAR_KEYWORD:
                    kwargs.update(value)
                case _Kind.POSITIONAL_OR_KEYWORD if self._has_rest:
                    args.append(value)
                case _:
                    kwargs[parameter.name] = value
        return tuple(args), kwargs

    @property
    def _has_rest(self) -> bool:
        """With ``*rest`` present and filled, what stands before it must go by position."""
        return any(p.kind is _Kind.VAR_POSITIONAL for p in self._parameters)


def decode_plain(data: bytes | None) -> Any:
    """Return a stored result as plain data: numbers, texts, lists and dicts."""
    return None if data is None else msgspec.json.decode(data)


def parameters_of(task: str, function: Callable[..., Any]) -> Iterator[inspect.Parameter]:
    """Return a function's parameters in their order.  Raises: BadTask."""
    try:
        return iter(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise BadTask(task, f"its signature cannot be read ({error})") from error


def hints_of(task: str, function: Callable[..., Any]) -> dict[str, Any]:
    """Return the types of a function's parameters and of its result.  Raises: BadTask."""
    try:
        return typing.get_type_hints(_annotated(function), include_extras=True)
    except Exception as error:
        raise BadTask(
            task, f"its annotations cannot be resolved ({error}); import the names at module level"
        ) from error


def _annotated(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what bears the annotations: behind decorators, of a class or of an object."""
    function = inspect.unwrap(function)
    while isinstance(function, functools.partial):
        function = inspect.unwrap(function.func)
    if inspect.isclass(function):
        function = function.__init__
    elif not inspect.isroutine(function):
        function = type(function).__call__
    unwrapped: Callable[..., Any] = inspect.unwrap(function)
    return unwrapped


def _field(parameter: inspect.Parameter, hint: Any) -> tuple[str, Any] | tuple[str, Any, Any]:
    match parameter.kind:
        case _Kind.VAR_POSITIONAL:
            return (parameter.name, list[hint] | UnsetType, UNSET)
        case _Kind.VAR_KEYWORD:
            return (parameter.name, dict[str, hint] | UnsetType, UNSET)
        case _ if parameter.default is not _Kind.empty:
            return (parameter.name, typing.Union[hint, UnsetType], UNSET)  # noqa: UP007
        case _:
            return (parameter.name, hint)


def _decoder(task: str, kind: Any, what: str) -> Callable[[bytes], Any]:
    try:
        for custom in _custom_types(msgspec.inspect.type_info(kind)):
            if not _is_path(custom) and not _is_pydantic(custom):
                raise TypeError(f"type {custom!r} has no place in a payload")
        return msgspec.json.Decoder(kind, dec_hook=_decode_other).decode
    except (TypeError, NotImplementedError) as error:
        raise BadTask(
            task,
            f"the annotations of its {what} cannot be kept ({error}); use plain types, "
            "dataclasses, msgspec structs, enums, Path or pydantic models",
        ) from error


def _custom_types(info: Any) -> Iterator[type]:
    if isinstance(info, msgspec.inspect.CustomType):
        yield info.cls
    elif isinstance(info, msgspec.inspect.StructType) and info.cls.__name__ == "Arguments":
        for field in info.fields:
            yield from _custom_types(field.type)
    else:
        for name in ("type", "item_type", "key_type", "value_type"):
            inner = getattr(info, name, None)
            if isinstance(inner, msgspec.inspect.Type):
                yield from _custom_types(inner)
        for name in ("types", "item_types"):
            for inner in getattr(info, name, ()):
                yield from _custom_types(inner)


def _is_path(kind: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, PurePath)


def _is_pydantic(kind: type) -> bool:
    return hasattr(kind, "model_validate") and hasattr(kind, "model_dump_json")


def _encode_other(value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    if _is_pydantic(type(value)):
        return msgspec.Raw(value.model_dump_json().encode())
    raise TypeError(f"objects of type {type(value).__qualname__!r} have no place in a payload")


def _decode_other(kind: type, value: Any) -> Any:
    if _is_path(kind):
        if not isinstance(value, str):
            raise msgspec.ValidationError(f"Expected a path as `str`, got `{type(value).__name__}`")
        return kind(value)
    return kind.model_validate(value)  # type: ignore[attr-defined]  # checked at definition


def _bad_arguments(task: str, error: msgspec.DecodeError) -> BadArguments:
    found = _FIELD.search(str(error))
    return BadArguments(task, found.group("field") if found else None, str(error))
