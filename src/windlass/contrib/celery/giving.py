"""What a call gives to a composition: arguments to its first jobs, options to its last or all."""

from collections.abc import Mapping
from typing import Any

from windlass.contrib.celery.exceptions import refuse
from windlass.contrib.celery.signature import Signature, as_list

_FOR_LAST = ("link", "task_id", "ignore_result")
_FOR_HEADER = ("countdown", "eta", "queue", "priority", "expires", "headers")


def given(
    sig: Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any], options: Mapping[str, Any]
) -> Any:
    """Return a signature with arguments for its first jobs, and options for those they concern.

    Raises: TypeError, for a link of a group.
    """
    match sig.subtask_type:
        case "chain":
            made: Any = sig.clone()
            of_last = {k: v for k, v in options.items() if k in _FOR_LAST}
            errbacks = as_list(options.get("link_error"))
            of_first = {k: v for k, v in options.items() if k not in (*_FOR_LAST, "link_error")}
            tasks = made.tasks
            if tasks:
                tasks[0] = given(tasks[0], args, kwargs, of_first)
                tasks[-1] = given(tasks[-1], (), {}, of_last)
            made.kwargs["tasks"] = [_with_errbacks(each, errbacks) for each in tasks]
            return made
        case "group":
            if options.get("link") is not None or options.get("link_error") is not None:
                raise TypeError("a group takes no link: use a chord, or link its members")
            if options.get("task_id") is not None:
                refuse("task_id of a group", "the ids of its results")
            made = sig.clone()
            made.kwargs["tasks"] = [given(each, args, kwargs, options) for each in made.tasks]
            return made
        case "chord":
            if options.get("link_error") is not None:
                refuse(
                    "link_error of a chord", "link_error of the tasks in its header and of its body"
                )
            of_header = {k: v for k, v in options.items() if k in _FOR_HEADER}
            of_body = {k: v for k, v in options.items() if k not in ("countdown", "eta", "expires")}
            made = sig.clone((), {k: v for k, v in kwargs.items() if k == "body"})
            rest = {k: v for k, v in kwargs.items() if k != "body"}
            made.kwargs["tasks"] = [given(each, args, rest, of_header) for each in made.tasks]
            made.kwargs["body"] = given(made.body, (), {}, of_body)
            return made
    merged = {**sig.options, **{k: v for k, v in options.items() if v is not None}}
    for name in ("link", "link_error"):
        if options.get(name) is not None:
            merged[name] = [*as_list(sig.options.get(name)), *as_list(options[name])]
    return sig.clone(args, kwargs).replace(options=merged)


def _with_errbacks(sig: Signature, errbacks: list[Any]) -> Signature:
    for errback in errbacks:
        sig.link_error(errback)
    return sig
