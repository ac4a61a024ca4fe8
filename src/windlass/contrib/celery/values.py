"""Values as Celery's JSON carries them: what arrives is what arrived there.

Plain JSON, and besides it dates, times, decimals, UUIDs and bytes, each in an envelope that
names its type.  Tuples become lists and keys become texts.  Integers beyond 64 bits, and floats
that are no numbers, get an envelope of their own: other readers of JSON do not take them.
"""

import base64
import math
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

TYPE, VALUE = "__type__", "__value__"
ENVELOPE = {TYPE, VALUE}
INT_MIN, INT_MAX = -(2**63), 2**64 - 1

_DECODERS: dict[str, Callable[[Any], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": lambda text: datetime.fromisoformat(text).date(),
    "time": time.fromisoformat,
    "decimal": Decimal,
    "uuid": lambda parts: UUID(**parts),
    "bytes": lambda text: text.encode(),
    "base64": base64.b64decode,
    "integer": int,
    "float": float,
}


def to_plain(value: Any) -> Any:
    """Return a value as plain data.  Raises: TypeError, for what has no place in JSON."""
    match value:
        case None | bool():
            return value
        case str():
            return str.__str__(value)
        case int():
            number = int(value)
            return number if INT_MIN <= number <= INT_MAX else _as("integer", str(number))
        case float():
            return float(value) if math.isfinite(value) else _as("float", repr(float(value)))
        case dict():
            return {_key(key): to_plain(each) for key, each in value.items()}
        case list() | tuple():
            return [to_plain(each) for each in value]
    reduce = getattr(value, "__json__", None)
    return to_plain(reduce()) if reduce is not None else _enveloped(value)


def from_plain(value: Any) -> Any:
    """Return plain data as the value that ``to_plain`` was given."""
    if isinstance(value, list):
        return [from_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == ENVELOPE and (decode := _DECODERS.get(str(value[TYPE]))) is not None:
        return decode(value[VALUE])
    return {key: from_plain(each) for key, each in value.items()}


def _enveloped(value: Any) -> dict[str, Any]:
    match value:
        case datetime():
            return _as("datetime", value.isoformat())
        case date():
            return _as("date", value.isoformat())
        case time():
            return _as("time", value.isoformat())
        case Decimal():
            return _as("decimal", str(value))
        case UUID():
            return _as("uuid", {"hex": value.hex})
        case bytes():
            try:
                return _as("bytes", value.decode())
            except UnicodeDecodeError:
                return _as("base64", base64.b64encode(value).decode())
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _as(kind: str, value: Any) -> dict[str, Any]:
    return {TYPE: kind, VALUE: value}


def _key(key: Any) -> str:
    match key:
        case str():
            return str.__str__(key)
        case None:
            return "null"
        case bool():
            return "true" if key else "false"
        case int():
            return str(int(key))
        case float():
            return repr(float(key))
    raise TypeError(f"keys must be texts or numbers, not {type(key).__name__}")
