"""What the signatures of user functions say: their annotations, and models to be made."""

import inspect
import sys
import typing
from collections.abc import Callable
from types import UnionType
from typing import Annotated, Any, Union


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return a function's annotations, resolved where they can be."""
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:  # a name that is there for type checkers only: nothing to be made of it
        return dict(getattr(function, "__annotations__", {}))


def with_models(
    function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any], skip: int
) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments with those that make up a pydantic model put together.

    Its fields are taken from the keywords; those that are missing, in their order, from the
    positional arguments, except the first ``skip``.
    Raises: pydantic.ValidationError.
    """
    for name, model in _models(function, skip):
        if name in kwargs:
            continue
        own = {field: kwargs[field] for field in model.model_fields if field in kwargs}
        try:
            made = model(**own)
        except ValueError:  # of which pydantic's ValidationError is one
            missing = [field for field in model.model_fields if field not in own]
            places = dict(zip(missing, args[skip:], strict=False))
            made = model(**own, **places)
            args = args[:skip] + args[skip + len(places) :]
        rest = {key: value for key, value in kwargs.items() if key not in own}
        kwargs = {**rest, name: made}
    return args, kwargs


def dumped(result: Any) -> Any:
    """Return a model as plain data; anything else as it is."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(result, pydantic.BaseModel):
        return result.model_dump()
    return result


def _models(function: Callable[..., Any], skip: int) -> list[tuple[str, Any]]:
    pydantic = sys.modules.get("pydantic")  # who has no model here has not imported it
    if pydantic is None:
        return []
    hints = hints_of(function)
    names = list(inspect.signature(function).parameters)[skip:]
    kinds = ((name, _plain(hints.get(name))) for name in names)
    return [
        (name, kind)
        for name, kind in kinds
        if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)
    ]


def _plain(hint: Any) -> Any:
    """Return the class behind ``Annotated`` and ``Optional``."""
    if typing.get_origin(hint) is Annotated:
        hint = hint.__origin__
    if typing.get_origin(hint) in (Union, UnionType):
        kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        return kinds[0] if len(kinds) == 1 else None
    return hint
