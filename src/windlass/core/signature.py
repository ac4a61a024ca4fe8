"""Signatures: the arguments and the result of a task as bytes, and back as their types.

A payload holds the arguments by the names of the parameters.  Arguments are checked
where they are given: they are encoded and decoded once at enqueue, so that what a
worker would refuse is refused there, by the path of the field.
"""

import functools
import inspect
import re
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NoReturn

import msgspec
from msgspec import UNSET, UnsetType

from windlass.core.fields import field_of, unencodable_field
from windlass.core.fingerprint import fingerprint_of
from windlass.core.serializers import JSON, PICKLE, Arguments, Codec, Formats, given, sorted_form
from windlass.errors import (
    BadArguments,
    BadResult,
    BadTask,
    NotEncodable,
    PayloadTooLarge,
    PickleRefused,
    UnknownSerializer,
)

_Kind = inspect.Parameter
Call = tuple[tuple[Any, ...], dict[str, Any]]
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

# These say what is wrong better than that the arguments are.
_OWN_WORDS = (UnknownSerializer, PickleRefused)


class Signature:
    """How one function's arguments and result travel.

    injected:    the parameters that are no part of a payload; decoding gives none of them.
    serializer:  the name of the format that it asks for; None takes the app's.
    fingerprint: which payloads the function takes, as a number: see ``core.fingerprint``.
    """

    def __init__(
        self,
        task: str,
        function: Callable[..., Any],
        injected: Collection[str] = (),
        *,
        serializer: str | None = None,
    ) -> None:
        self.task = task
        self.serializer = serializer
        self.upcasters: list[Upcaster] = []
        everything = list(parameters_of(task, function))
        self._parameters = [p for p in everything if p.name not in injected]
        self._hints = hints_of(task, function)
        self.fingerprint = fingerprint_of(self._parameters, self._hints)
        fields = [_field(p, self._hints.get(p.name, Any)) for p in self._parameters]
        self._plain = self._parameters == everything[: len(self._parameters)] and all(
            p.kind is _Kind.POSITIONAL_OR_KEYWORD and p.default is _Kind.empty
            for p in self._parameters
        )
        self._bind = inspect.Signature(self._parameters).bind
        self._struct: Any = msgspec.defstruct(
            "Arguments",
            fields,
            bases=(Arguments,),
            kw_only=not self._plain,
            forbid_unknown_fields=True,
            gc=False,
        )
        # Until an app has said which formats it knows, a format of its user's is none of ours.
        self._make_codecs(Formats(), PICKLE if serializer == PICKLE else JSON)

    def use(self, formats: Formats) -> None:
        """Travel in the formats of an app; for the app that adopts the task.

        Raises: UnknownSerializer.
        """
        writes = formats.check(self.serializer or formats.default)
        if writes != self._arguments_codec.writes or writes in formats.own:
            self._make_codecs(formats, writes)
        self.formats = self._arguments_codec.formats = self._result_codec.formats = formats

    def rename(self, task: str) -> None:
        """Go by the name which the task has in another process."""
        self.task = self._arguments_codec.task = self._result_codec.task = task

    def _make_codecs(self, formats: Formats, writes: str) -> None:
        result_type = self._hints.get("return", Any)
        self.formats = formats
        self._arguments_codec: Codec = Codec(self.task, "arguments", self._struct, writes, formats)
        self._result_codec: Codec = Codec(self.task, "result", result_type, writes, formats)
        self._encode = self._arguments_codec.encode
        self._check = self._arguments_codec.check

    # -- arguments -----------------------------------------------------------

    def encode(self, args: tuple[Any, ...], kwargs: dict[str, Any], limit_bytes: int) -> bytes:
        """Return the payload for a call.

        Raises: BadArguments (names the field), NotEncodable, PayloadTooLarge, PickleRefused.
        """
        arguments = self._arguments(args, kwargs)
        try:
            payload = self._encode(arguments)
        except _OWN_WORDS:
            raise
        except Exception as error:
            raise self._not_encodable(given(arguments), error) from error
        if self._check is not None:
            try:
                self._check(payload)
            except msgspec.DecodeError as error:
                raise BadArguments(self.task, *field_of(error)) from error
        if len(payload) > limit_bytes:
            raise PayloadTooLarge(self.task, "arguments", len(payload), limit_bytes)
        return payload

    def form(self, args: tuple[Any, ...], kwargs: dict[str, Any], payload: bytes) -> bytes:
        """Return bytes by which to tell whether a call is the same as an earlier one.

        payload: of that call.  It stands for it only where nothing better is had: a format may
                 write the same in another way each time, as one that encrypts does, and sets
                 have another order in each process.
        """
        if self._arguments_codec.writes == PICKLE:
            return payload
        try:
            return sorted_form(self._arguments(args, kwargs))
        except (TypeError, ValueError, NotImplementedError):  # such as a set of texts and numbers
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

    def first_missing(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
        """Return the first parameter that has neither an argument nor a default.

        Raises: BadArguments, for arguments that do not fit.
        """
        return self._first_missing(self.given(args, kwargs))

    def _first_missing(self, given: Collection[str]) -> str | None:
        empty = _Kind.empty
        kinds = (_Kind.VAR_POSITIONAL, _Kind.VAR_KEYWORD)
        return next(
            (
                p.name
                for p in self._parameters
                if p.name not in given and p.default is empty and p.kind not in kinds
            ),
            None,
        )

    def bound_partly(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return a call's arguments by name, with defaults; those that are missing are not there.

        Raises: BadArguments.
        """
        return self.with_defaults(self.given(args, kwargs))

    def with_defaults(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments by name with the defaults of those that are not given."""
        rest = (p for p in self._parameters if p.name not in given)
        defaults = {p.name: p.default for p in rest if p.default is not _Kind.empty}
        return {**given, **defaults}

    def encode_partly(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], slot: str | None, limit_bytes: int
    ) -> bytes:
        """Return the payload for a call whose argument ``slot`` another job gives.

        Raises: as ``encode``.
        """
        slots = () if slot is None else (slot,)
        return self.encode_given(self.given(args, kwargs), slots, limit_bytes)

    def encode_given(
        self, given: Mapping[str, Any], slots: Collection[str], limit_bytes: int
    ) -> bytes:
        """Return the payload for a call of which other jobs give the arguments ``slots``.

        given:  the others, by the names of their parameters.
        Raises: as ``encode``.
        """
        missing = self._first_missing({*given, *slots})
        if missing is not None:
            raise BadArguments(self.task, missing, "missing a required argument: nothing gives it")
        try:
            payload = self._encode(given)
        except _OWN_WORDS:
            raise
        except Exception as error:
            raise self._not_encodable(given, error) from error
        if self._check is not None and not slots:
            try:
                self._check(payload)
            except msgspec.DecodeError as error:
                raise BadArguments(self.task, *field_of(error)) from error
        if len(payload) > limit_bytes:
            raise PayloadTooLarge(self.task, "arguments", len(payload), limit_bytes)
        return payload

    @property
    def sole_list(self) -> str | None:
        """The name of the only parameter, if it is a list; None if there are others."""
        if len(self._parameters) != 1:
            return None
        [parameter] = self._parameters
        hint = self._hints.get(parameter.name)
        is_list = hint is list or typing.get_origin(hint) is list
        return parameter.name if is_list else None

    def with_inputs(self, payload: bytes, inputs: Mapping[str, Any]) -> bytes:
        """Return a payload with further arguments, given as plain data.

        Raises: BadArguments.
        """
        codec = self._arguments_codec
        try:
            return codec.encode(codec.typed(codec.plain(payload) | dict(inputs), payload))
        except _OWN_WORDS:
            raise
        except msgspec.DecodeError as error:
            raise BadArguments(self.task, *field_of(error)) from error
        except Exception as error:
            raise BadArguments(self.task, None, f"{type(error).__name__}: {error}") from error

    def plain_result(self, data: bytes | None) -> Any:
        """Return a stored result without its types."""
        return None if data is None else self._result_codec.plain(data)

    def given(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return by name the arguments that a call gives; others may be missing.

        Raises: BadArguments.
        """
        try:
            return inspect.Signature(self._parameters).bind_partial(*args, **kwargs).arguments
        except TypeError as error:
            raise BadArguments(self.task, _quoted(error), str(error)) from None

    def decode(self, payload: bytes, fingerprint: int | None = None) -> Call:
        """Return the call's arguments as their annotated types.

        fingerprint: of the code that made the payload, if that is known.  Upcasters run where
                     it is not this code's, and where the payload does not decode.
        Raises: BadArguments, if the payload does not fit this function any more;
                UnknownSerializer, PickleRefused; what an upcaster raises.
        """
        if self.upcasters and fingerprint != self.fingerprint:
            return self._call(self._upcast(payload))
        try:
            arguments = self._arguments_codec.decode(payload)
        except Exception as error:
            if self.upcasters:
                return self._call(self._upcast(payload))
            self._refuse(error)
        return self._call(arguments)

    def _upcast(self, payload: bytes) -> Any:
        """Give the arguments to each upcaster in turn, the one registered first first."""
        codec = self._arguments_codec
        try:
            values = codec.plain(payload)
        except Exception as error:
            self._refuse(error)
        if not isinstance(values, dict):
            raise BadArguments(self.task, None, "the payload is no object of names and values")
        for upcaster in self.upcasters:
            values = upcaster(values)
            if not isinstance(values, dict):
                name = getattr(upcaster, "__name__", repr(upcaster))
                why = f"the upcaster {name!r} returned a {type(values).__name__}, not a dict"
                raise BadArguments(self.task, None, why)
        try:
            return codec.typed(values, payload)
        except Exception as error:
            self._refuse(error)

    def _refuse(self, error: Exception) -> NoReturn:
        """Raise what it means for these arguments that they could not be decoded."""
        match error:
            case UnknownSerializer() | PickleRefused():
                raise error
            case msgspec.DecodeError():
                raise BadArguments(self.task, *field_of(error)) from error
            case TypeError():  # names that a pickle has and the function has not
                raise BadArguments(self.task, _quoted(error), str(error)) from error
        # A user's type may raise anything from its constructor.
        raise BadArguments(self.task, None, f"{type(error).__name__}: {error}") from error

    # -- results -------------------------------------------------------------

    def encode_result(self, value: Any, limit_bytes: int) -> bytes | None:
        """Return the stored form of a result; None for None, which is the common case.

        Raises: NotEncodable, PayloadTooLarge, PickleRefused.
        """
        if value is None:
            return None
        try:
            data = self._result_codec.encode(value)
        except _OWN_WORDS:
            raise
        except Exception as error:
            raise NotEncodable(self.task, None, str(error)) from error
        if len(data) > limit_bytes:
            raise PayloadTooLarge(self.task, "result", len(data), limit_bytes)
        return data

    def decode_result(self, data: bytes | None) -> Any:
        """Return a stored result as the function's return type; as plain data if it misfits.

        Raises: UnknownSerializer, PickleRefused; BadResult, if the bytes cannot be read.
        """
        if data is None:
            return None
        try:
            try:
                return self._result_codec.decode(data)
            except msgspec.ValidationError:  # the annotation was wrong; the value is not lost
                return self._result_codec.plain(data)
        except _OWN_WORDS:
            raise
        except Exception as error:
            raise BadResult(self.task, f"{type(error).__name__}: {error}") from error

    # -- to a child process and back -----------------------------------------

    def payload_for(self, payload: bytes, key: str) -> bytes:
        """Return a payload for a child that knows only ``key``.  Raises: PickleRefused."""
        return self._arguments_codec.sealed_for(payload, key)

    def result_from(self, data: bytes | None, key: str) -> bytes | None:
        """Return the result of a child that knows only ``key``.  Raises: PickleRefused."""
        return None if data is None else self._result_codec.sealed_by(data, key)

    # -- binding -------------------------------------------------------------

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
        return BadArguments(self.task, _quoted(error), str(error))

    def _not_encodable(self, arguments: Mapping[str, Any], error: Exception) -> NotEncodable:
        for name, value in arguments.items():
            try:
                self._result_codec.encode(value)
            except Exception as cause:
                field, why = unencodable_field(name, value, self._result_codec.encode, cause)
                return NotEncodable(self.task, field, str(why))
        return NotEncodable(self.task, None, str(error))

    def _call(self, arguments: Any) -> Call:
        if self._plain:
            return msgspec.structs.astuple(arguments), {}
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


def _quoted(error: TypeError) -> str | None:
    quoted = re.search(r"'([^']+)'", str(error))
    return quoted.group(1) if quoted else None


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
