"""Arguments and results as JSON has them: what a task is given, and what its caller gets."""

import json
from collections.abc import Mapping
from typing import Any

from windlass.errors import BadOption, NotEncodable
from windlass.model.jobs import PRIORITY_MAX, PRIORITY_MIN


def plain_call(
    task: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return a call's arguments as they will arrive.

    Raises: NotEncodable, with the argument, for what JSON cannot say.
    """
    places = [_plain(task, f"args[{n}]", value) for n, value in enumerate(args)]
    return places, {name: _plain(task, name, value) for name, value in kwargs.items()}


def _plain(task: str, name: str, value: Any) -> Any:
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise NotEncodable(task, name, str(error)) from error


def native_priority(priority: object) -> int:
    """Return a priority as Windlass has it, where more goes first.  Raises: BadOption."""
    if isinstance(priority, bool) or not isinstance(priority, int):
        raise BadOption("priority", priority, "must be a whole number")
    if not PRIORITY_MIN <= -priority <= PRIORITY_MAX:
        why = f"must be from {-PRIORITY_MAX} to {-PRIORITY_MIN}; less goes first"
        raise BadOption("priority", priority, why)
    return -priority


def plain_result(decoded: Any) -> Any:
    """Return the value behind what a task's decoder has made.

    decoded: JSON, or a number.
    Raises:  TypeError, ValueError.
    """
    if not isinstance(decoded, bytes | str | int | float):
        kind = type(decoded).__name__
        raise TypeError(f"decode must make a text of JSON, and made a {kind}")
    text = decoded if isinstance(decoded, bytes | str) else json.dumps(decoded)
    return json.loads(text, parse_constant=_refuse)


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} has no place in JSON: return None, or a text, in its place")
