"""Serializers: values to bytes and back, in frames that name their format.

JSON stands by itself, as it is.  Every other format is framed: a NUL, its name, a NUL, its
body.  No JSON begins with a NUL, so the first byte tells.

What is stored decides how it is read, but never that it is unpickled: for that the task and
a key of this process must both have said so, and the key's signature must fit.
"""

import hmac
import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Literal, Protocol

import msgspec
from msgspec import UNSET

from windlass.core.fields import within
from windlass.errors import BadOption, BadTask, PickleRefused, UnknownSerializer

JSON, MSGPACK, PICKLE = "json", "msgpack", "pickle"
BUILT_IN = (JSON, MSGPACK, PICKLE)
RESERVED = "blob"  # what is framed so lies elsewhere: core/references.py
PICKLE_KEY_LENGTH_MIN = 32
MARK = b"\0"
NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_FRAME = re.compile(rb"\0([a-z][a-z0-9_-]{0,31})\0")
_PICKLE_HEAD = b"\0pickle\0"
_SEAL_BYTES = 32
_PICKLE_PROTOCOL = 5  # every Python that Windlass runs on reads it

What = Literal["arguments", "result"]
Encode = Callable[[Any], bytes]
Decode = Callable[[bytes], Any]


class Serializer(Protocol):
    """A format of your own: plain data to bytes and back.

    Plain data is None, bool, numbers, texts, lists, and dicts with texts as keys; the types of
    the annotations are made of it afterwards.  ``loads`` meets bytes which somebody else may
    have written: it must build nothing but plain data.
    """

    @property
    def name(self) -> str:
        """The name that is stored with each payload: 1 to 32 of a-z, 0-9, - and _."""
        ...

    def dumps(self, value: Any) -> bytes:
        """Return plain data as bytes."""
        ...

    def loads(self, data: bytes) -> Any:
        """Return the plain data of bytes; any exception means that they hold none."""
        ...


class Arguments(msgspec.Struct):
    """The arguments of one call; each signature derives its own, with a field a parameter."""


# -- frames ------------------------------------------------------------------


def framed(name: str, body: bytes) -> bytes:
    """Return bytes that name their format."""
    return body if name == JSON else b"\0%b\0%b" % (name.encode(), body)


def unframed(data: bytes) -> tuple[str, bytes]:
    """Return the name of the format and the body.

    Raises: msgspec.DecodeError, for a NUL that begins no frame.
    """
    if not data.startswith(MARK):
        return JSON, data
    found = _FRAME.match(data)
    if found is None:
        raise msgspec.DecodeError("it begins with a NUL byte, and yet it names no format")
    return found[1].decode(), data[found.end() :]


def check_serializer(serializer: Serializer) -> Serializer:
    """Return a serializer that an app can take.  Raises: BadOption."""
    name = getattr(serializer, "name", None)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise BadOption(
            "serializer", serializer, "needs a name of 1 to 32 small letters, digits, - and _"
        )
    if name == RESERVED:
        raise BadOption("serializer", serializer, f"the name {name!r} is that of references")
    if name in BUILT_IN:
        raise BadOption("serializer", serializer, f"the name {name!r} is that of a built-in one")
    if not (callable(getattr(serializer, "dumps", None)) and callable(serializer.loads)):
        raise BadOption("serializer", serializer, "needs the methods dumps and loads")
    return serializer


# -- what an app knows -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Formats:
    """The formats that an app reads and writes.

    default:    what its tasks write that name none themselves.
    own:        serializers besides the built-in ones, by name.
    pickle_key: signs pickles and proves them; "" means that nothing is unpickled.
    """

    default: str = JSON
    own: Mapping[str, Serializer] = field(default_factory=dict)
    pickle_key: str = field(default="", repr=False)

    def check(self, name: str) -> str:
        """Return the name of a format that is known.  Raises: UnknownSerializer."""
        if name not in BUILT_IN and name not in self.own:
            raise UnknownSerializer(name)
        return name

    def decode_plain(self, data: bytes | None) -> Any:
        """Return stored bytes as plain data, whatever task they are of; None for None.

        Raises: UnknownSerializer, PickleRefused, msgspec.DecodeError.
        """
        if data is None:
            return None
        name, body = unframed(data)
        match self.check(name):
            case "json":
                return msgspec.json.decode(body)
            case "msgpack":
                return msgspec.msgpack.decode(body)
            case "pickle":
                raise PickleRefused(None, "its task is not known here")
        return _loaded(self.own[name], body)


def decode_plain(data: bytes | None, formats: Formats | None = None) -> Any:
    """Return stored bytes as plain data: numbers, texts, lists and dicts.

    Raises: UnknownSerializer, PickleRefused, msgspec.DecodeError.
    """
    return (formats or Formats()).decode_plain(data)


def encode_plain(name: str, value: Any) -> bytes:
    """Return plain data in a format which ``decode_plain`` reads.  Raises: TypeError."""
    encode = msgspec.msgpack.encode if name == MSGPACK else msgspec.json.encode
    return framed(name, encode(value))


# -- the values of one type --------------------------------------------------


class Codec:
    """The values of one type of one task: written in one format, read from each.

    kind:   their type; what is unpickled is not compared with it.
    writes: the name of the format; only with "pickle" are pickles read.
    Raises: UnknownSerializer; BadTask, for a type which cannot be decoded.
    """

    def __init__(self, task: str, what: What, kind: Any, writes: str, formats: Formats) -> None:
        self.task = task
        self._what = what
        self._kind = kind
        self.formats = formats
        self.writes = formats.check(writes)
        self._decoders: dict[str, Decode] = {}
        self.encode: Encode = self._encoder(writes)
        if writes != PICKLE:  # at once, so that a type which cannot be decoded is found
            self._decoders[JSON] = self._decoder(JSON)

    @property
    def check(self) -> Decode | None:
        """What decodes that which ``encode`` made; None for pickles, which carry any type."""
        match self.writes:
            case "json":
                return self._decoders[JSON]
            case "pickle":
                return None
        return self.decode

    def decode(self, data: bytes) -> Any:
        """Return the value that bytes of any known format hold.

        Raises: msgspec.DecodeError, UnknownSerializer, PickleRefused, and what a user's type
                raises from its constructor.
        """
        if data.startswith(MARK):
            name, data = unframed(data)
        else:
            name = JSON
        decode = self._decoders.get(name)
        if decode is None:
            decode = self._decoders[name] = self._decoder(name)
        return decode(data)

    def plain(self, data: bytes) -> Any:
        """Return what bytes hold without the types; what was pickled comes back as it was."""
        name, body = unframed(data)
        return self._unpickled(body) if name == PICKLE else self.formats.decode_plain(data)

    def typed(self, plain: Any, like: bytes) -> Any:
        """Return plain data, changed by somebody, as if ``like`` had held it.

        Raises: as ``decode``, and what an encoder raises.
        """
        name, _ = unframed(like)
        if name == PICKLE:
            return self._built(plain)
        return self.decode(self._encoder(name)(plain))

    def sealed_for(self, data: bytes, key: str) -> bytes:
        """Return a pickle under the signature of another's key; other bytes as they are.

        Raises: PickleRefused.
        """
        return self._resealed(data, lambda: (self._key(), key))

    def sealed_by(self, data: bytes, key: str) -> bytes:
        """Return a pickle that was signed with another's key under our own signature.

        Raises: PickleRefused.
        """
        return self._resealed(data, lambda: (key, self._key()))

    def _resealed(self, data: bytes, keys: Callable[[], tuple[str, str]]) -> bytes:
        if not data.startswith(_PICKLE_HEAD):
            return data
        self._check_wanted()
        old, new = keys()
        body = self._unsealed(unframed(data)[1], old)
        return framed(PICKLE, self._seal(body, new) + body)

    # -- the formats ---------------------------------------------------------

    def _encoder(self, name: str) -> Encode:
        match name:
            case "json":
                return msgspec.json.Encoder(enc_hook=_encode_for_json).encode
            case "msgpack":
                encode = msgspec.msgpack.Encoder(enc_hook=_encode_other).encode
                return lambda value: b"\0msgpack\0" + encode(value)
            case "pickle":
                return lambda value: framed(PICKLE, self._pickled(value))
        dumps = self.formats.own[name].dumps
        return lambda value: framed(name, dumps(_plain(value)))

    def _decoder(self, name: str) -> Decode:
        match self.formats.check(name):
            case "pickle":
                return lambda body: self._built(self._unpickled(body))
            case "json":
                return self._by_msgspec(msgspec.json.Decoder)
            case "msgpack":
                return self._by_msgspec(msgspec.msgpack.Decoder)
        own, kind = self.formats.own[name], self._kind
        return lambda body: msgspec.convert(
            _loaded(own, body), kind, str_keys=True, dec_hook=_decode_other
        )

    def _by_msgspec(self, decoder: Any) -> Decode:
        try:
            for custom in _custom_types(msgspec.inspect.type_info(self._kind)):
                if not _is_path(custom) and not _is_pydantic(custom):
                    raise TypeError(f"type {custom!r} has no place in a payload")
            decode: Decode = decoder(self._kind, dec_hook=_decode_other).decode
        except (TypeError, NotImplementedError) as error:
            raise BadTask(
                self.task,
                f"the annotations of its {self._what} cannot be kept ({error}); use plain types, "
                "dataclasses, msgspec structs, enums, Path or pydantic models",
            ) from error
        return decode

    # -- pickle --------------------------------------------------------------

    def _pickled(self, value: Any) -> bytes:
        key = self._key()
        if isinstance(value, Arguments):
            value = given(value)
        body = pickle.dumps(value, protocol=_PICKLE_PROTOCOL)
        return self._seal(body, key) + body

    def _unpickled(self, sealed: bytes) -> Any:
        self._check_wanted()
        return pickle.loads(self._unsealed(sealed, self._key()))  # noqa: S301  # signed by us

    def _check_wanted(self) -> None:
        if self.writes != PICKLE:
            raise PickleRefused(self.task, 'here the task does not say serializer="pickle"')

    def _key(self) -> str:
        if not self.formats.pickle_key:
            raise PickleRefused(self.task, "this process has no setting pickle_key")
        return self.formats.pickle_key

    def _seal(self, body: bytes, key: str) -> bytes:
        """Sign a body for this task and use: no other task's job can be made of it."""
        scope = f"windlass\0{self._what}\0{self.task}\0".encode()
        return hmac.digest(key.encode(), scope + body, "sha256")

    def _unsealed(self, sealed: bytes, key: str) -> bytes:
        seal, body = sealed[:_SEAL_BYTES], sealed[_SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._seal(body, key)):
            why = "its signature does not fit: it was changed, or signed under another pickle_key"
            raise PickleRefused(self.task, why)
        return body

    def _built(self, value: Any) -> Any:
        """Return unpickled arguments by the names of the parameters; a result as it is."""
        if not (isinstance(self._kind, type) and issubclass(self._kind, Arguments)):
            return value
        if not isinstance(value, dict):
            raise msgspec.ValidationError(f"Expected `object`, got `{type(value).__name__}`")
        return self._kind(**value)


def given(arguments: Arguments) -> dict[str, Any]:
    """Return those arguments which the call had, by name."""
    values = msgspec.structs.asdict(arguments)
    return {name: value for name, value in values.items() if value is not UNSET}


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value, str_keys=True, enc_hook=_encode_other)


def sorted_form(value: Any) -> bytes:
    """Return bytes that are the same for equal values, in whatever order a set or a dict has them.

    Raises: what msgspec does, where there is no such form.
    """
    plain = msgspec.to_builtins(value, str_keys=True, enc_hook=_encode_other, order="sorted")
    return msgspec.json.encode(plain)


def _loaded(serializer: Serializer, body: bytes) -> Any:
    try:
        return serializer.loads(body)
    except Exception as error:  # of the user's code: these bytes are none of its own
        why = f"the serializer {serializer.name!r} raised {type(error).__name__}: {error}"
        raise msgspec.DecodeError(why) from error


# -- types that msgspec does not know ----------------------------------------


def _custom_types(info: Any) -> Iterator[type]:
    if isinstance(info, msgspec.inspect.CustomType):
        yield info.cls
    elif isinstance(info, msgspec.inspect.StructType) and issubclass(info.cls, Arguments):
        for each in info.fields:
            yield from _custom_types(each.type)
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


def _encode_for_json(value: Any) -> Any:
    if _is_pydantic(type(value)):
        return msgspec.Raw(value.model_dump_json().encode())
    return _encode_other(value)


def _encode_other(value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    if _is_pydantic(type(value)):
        return value.model_dump(mode="json")
    raise TypeError(f"objects of type {type(value).__qualname__!r} have no place in a payload")


def _decode_other(kind: type, value: Any) -> Any:
    if _is_path(kind):
        if not isinstance(value, str):
            raise within("", f"Expected a path as `str`, got `{type(value).__name__}`")
        return kind(value)
    try:
        return kind.model_validate(value)  # type: ignore[attr-defined]  # checked at definition
    except ValueError as error:
        faults = getattr(error, "errors", None)
        if faults is None:
            raise
        raise _first_fault(faults()) from error


def _first_fault(faults: Any) -> Exception:
    """Return what pydantic found first, as msgspec would say it."""
    first = faults[0]
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"])
    return within("".join(steps).removeprefix("."), first["msg"])
