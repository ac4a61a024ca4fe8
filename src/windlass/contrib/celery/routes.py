"""Routes: to which queue the calls of a task go, by its name."""

import re
from collections.abc import Iterator, Mapping
from fnmatch import translate
from typing import Any

from windlass import BadOption
from windlass.contrib.celery.exceptions import refuse

_OPTIONS = ("queue", "priority", "expires", "countdown", "headers", "ignore_result")


def route_of(routes: Any, name: str) -> Mapping[str, Any]:
    """Return the options of the first of the routes that has one for a task; {} if none has.

    In each dict an exact name counts before all patterns, wherever it stands.
    """
    for one in maps_in(routes):
        if name in one:
            return one[name]
        for pattern, rule in one.items():
            if _matches(pattern, name):
                return rule
    return {}


def maps_in(routes: Any) -> Iterator[Mapping[Any, Mapping[str, Any]]]:
    """Yield the dicts of ``task_routes``: options by names, or by patterns of names.

    Raises: NotSupported, BadOption.
    """
    listed = routes if isinstance(routes, list | tuple) else [routes or {}]
    for each in listed:
        if callable(each) or isinstance(each, str):
            refuse("a function in task_routes", "patterns of names, or queue=… of the tasks")
        try:
            pairs = each.items() if isinstance(each, Mapping) else each
            yield {_pattern(pattern): _rule(pattern, rule) for pattern, rule in pairs}
        except (TypeError, ValueError) as error:
            why = f"must be a dict of queues by patterns of names; {error}"
            raise BadOption("task_routes", each, why) from error


def _matches(pattern: Any, name: str) -> bool:
    if isinstance(pattern, re.Pattern):
        return pattern.match(name) is not None
    return "*" in pattern and re.match(translate(pattern), name) is not None


def _pattern(pattern: Any) -> Any:
    if not isinstance(pattern, str | re.Pattern):
        raise TypeError(f"{pattern!r} is no pattern")
    return pattern


def _rule(pattern: Any, rule: Any) -> Mapping[str, Any]:
    if isinstance(rule, str):
        return {"queue": rule}
    if not isinstance(rule, Mapping):
        raise TypeError(f"the route of {pattern!r} is no queue: {rule!r}")
    for option in rule:
        if option not in _OPTIONS:
            refuse(f"{option!r} in task_routes", f"those there are: {', '.join(_OPTIONS)}")
    return rule
