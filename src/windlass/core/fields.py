"""The field at which a nested value does not fit, as a path such as ``order.lines[2].price``."""

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

_PLACE = re.compile(r" - at (?P<key>`key` in )?`\$\.?(?P<path>[^`]*)`$")
_NAMED = re.compile(r"^Object (?:missing required|contains unknown) field `(?P<name>[^`]+)`")
_INSIDE = re.compile(r" \(in `(?P<path>[^`]*)`\)$")
_DEPTH_MAX = 50


def field_of(error: Exception) -> tuple[str | None, str]:
    """Return the path of the field that a decoder's message names, and the message without it.

    A field that is missing or unknown is named as if it were there.
    """
    why, path = str(error), ""
    if place := _PLACE.search(why):
        why = why[: place.start()] + (" in a key" if place["key"] else "")
        path = place["path"]
    if inside := _INSIDE.search(why):
        why, path = why[: inside.start()], joined(path, inside["path"])
    if named := _NAMED.match(why):
        path = joined(path, named["name"])
    return path or None, why


def within(path: str, why: str) -> ValueError:
    """Return the error of a field inside a value which msgspec itself cannot look into.

    To a ValueError of a hook, and to no other, msgspec adds the path of the value.
    """
    return ValueError(f"{why} (in `{path}`)" if path else why)


def joined(path: str, rest: str) -> str:
    """Return the path of what stands at ``rest`` inside of ``path``."""
    return f"{path}.{rest}" if path and rest and not rest.startswith("[") else path + rest


def unencodable_field(
    path: str, value: Any, encode: Callable[[Any], object], error: Exception
) -> tuple[str, Exception]:
    """Return the path and the error of the innermost part of a value that cannot be encoded."""
    for _ in range(_DEPTH_MAX):
        for step, part in _parts(value):
            try:
                encode(part)
            except Exception as cause:
                path, value, error = joined(path, step), part, cause
                break
        else:
            break
    return path, error


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    match value:
        case Mapping():
            yield from ((f"[{key!r}]", part) for key, part in value.items())
        case list() | tuple():
            yield from ((f"[{index}]", part) for index, part in enumerate(value))
        case msgspec.Struct():
            yield from ((name, getattr(value, name)) for name in value.__struct_fields__)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from (
                (each.name, getattr(value, each.name)) for each in dataclasses.fields(value)
            )
