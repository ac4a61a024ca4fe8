"""Fingerprints: which payloads a function takes, as one short number.

Two functions with the same fingerprint take the same payloads.  It is made of the names,
kinds and types of the parameters and of whether they have defaults; nested types count by
their fields and not by their names.  Neither the order of parameters, the value of a
default, a docstring nor a place in a file is in it, nor anything of the process.
"""

import hashlib
import inspect
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

import msgspec
from msgspec import inspect as types

_WITH_FIELDS = (
    types.StructType,
    types.DataclassType,
    types.TypedDictType,
    types.NamedTupleType,
)


def fingerprint_of(parameters: Iterable[inspect.Parameter], hints: Mapping[str, Any]) -> int:
    """Return the fingerprint of a function: 31 bits, which every store keeps as an integer."""
    lines = sorted(_line(each, hints.get(each.name, Any)) for each in parameters)
    digest = hashlib.sha256("\n".join(lines).encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def _line(parameter: inspect.Parameter, hint: Any) -> str:
    need = "required" if parameter.default is inspect.Parameter.empty else "optional"
    return f"{parameter.name} {parameter.kind.name} {need} {_shape_of(hint, ())}"


def _shape_of(hint: Any, above: tuple[type, ...]) -> str:
    try:
        info = types.type_info(hint)
    except Exception:  # not msgspec's to describe, so a pickle carries it as it is
        return _name_of(hint)
    return _shape(info, above)


def _shape(info: Any, above: tuple[type, ...]) -> str:
    """Describe a type; ``above`` are the classes inside of which it stands."""
    match info:
        case types.Metadata(type=inner):
            return _shape(inner, above)
        case types.UnionType(types=members):
            return f"({' | '.join(sorted(_shape(each, above) for each in members))})"
        case types.LiteralType(values=values):
            return f"literal({', '.join(sorted(map(repr, values)))})"
        case types.EnumType(cls=kind):
            return f"literal({', '.join(sorted(repr(each.value) for each in kind))})"
        case types.CustomType(cls=kind):
            return _shape_of_custom(kind, above)
        case _ if isinstance(info, _WITH_FIELDS):
            return _shape_of_fields(info, above)
    return _shape_of_plain(info, above)


def _shape_of_fields(info: Any, above: tuple[type, ...]) -> str:
    if info.cls in above:  # a type inside of itself
        return f"^{above[::-1].index(info.cls)}"
    inside = (*above, info.cls)
    fields = [
        f"{each.encode_name}{'' if each.required else '?'}: {_shape(each.type, inside)}"
        for each in info.fields
    ]
    in_order = isinstance(info, types.NamedTupleType) or getattr(info, "array_like", False)
    brackets = "[]" if in_order else "{}"
    tag = getattr(info, "tag", None)
    known = "!" if getattr(info, "forbid_unknown_fields", False) else ""
    label = "" if tag is None else f"{getattr(info, 'tag_field', None)}={tag!r} "
    body = ", ".join(fields if in_order else sorted(fields))
    return f"{brackets[0]}{known}{label}{body}{brackets[1]}"


def _shape_of_custom(kind: Any, above: tuple[type, ...]) -> str:
    if isinstance(kind, type) and issubclass(kind, PurePath):
        return "path"
    fields = getattr(kind, "model_fields", None)
    if not isinstance(fields, Mapping):
        return _name_of(kind)
    if kind in above:
        return f"^{above[::-1].index(kind)}"
    inside = (*above, kind)
    described = (
        f"{field.alias or name}{'' if field.is_required() else '?'}: "
        f"{_shape_of(field.annotation, inside)}"
        for name, field in fields.items()
    )
    return f"{{{', '.join(sorted(described))}}}"


def _shape_of_plain(info: Any, above: tuple[type, ...]) -> str:
    """Describe what has no fields of its own: its limits, and the types of its items."""
    parts = []
    for name in info.__struct_fields__:
        value = getattr(info, name)
        if isinstance(value, types.Type):
            parts.append(f"{name}={_shape(value, above)}")
        elif isinstance(value, tuple):
            parts.append(f"{name}=({', '.join(_shape(each, above) for each in value)})")
        elif value is not None and value is not msgspec.UNSET:
            parts.append(f"{name}={value!r}")
    return f"{type(info).__name__}({', '.join(parts)})"


def _name_of(kind: Any) -> str:
    named = getattr(kind, "__qualname__", None)
    return f"{kind.__module__}.{named}" if named else type(kind).__qualname__
