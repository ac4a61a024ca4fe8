"""What follows a call in Celery, as calls that wait: what a plain app takes of it.  Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from windlass.contrib.celery.messages import CeleryCall, Unfit

# Of a follow-up's options these say where and under which id it would have gone.
ROUTES = frozenset(
    {"task_id", "root_id", "parent_id", "reply_to", "queue", "exchange", "routing_key", "priority",
     "serializer", "compression", "ignore_result", "shadow", "link"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A call that runs when another has succeeded.

    gets_result: the other's result stands before its arguments.
    then:        what follows it in turn.
    """

    task: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    gets_result: bool
    then: tuple["FollowUp", ...]


def follow_ups_of(call: CeleryCall) -> tuple[FollowUp, ...]:
    """Return what follows a call.  Raises: Unfit."""
    if call.errbacks:
        raise Unfit("it has an error callback (link_error)")
    return tuple(_follow_ups(call))


def _follow_ups(call: CeleryCall) -> Iterator[FollowUp]:
    for signature in call.callbacks:
        yield _follow_up(signature, ())
    behind: tuple[FollowUp, ...] = ()
    for signature in reversed(call.chain):
        behind = (_follow_up(signature, behind),)
    yield from behind


def _follow_up(signature: Any, behind: tuple[FollowUp, ...]) -> FollowUp:
    if not isinstance(signature, Mapping) or not isinstance(signature.get("task"), str):
        raise Unfit("what follows it is no signature of a task")
    name, kind = signature["task"], signature.get("subtask_type")
    if kind is not None:
        raise Unfit(f"what follows it is a {kind}, and not a call")
    options = signature.get("options") or {}
    unknown = sorted(option for option, value in options.items() if value and option not in ROUTES)
    if unknown:
        raise Unfit(f"what follows it, {name!r}, has options of its own: {', '.join(unknown)}")
    links = options.get("link") or ()
    linked = tuple(_follow_up(each, ()) for each in ([links] if _is_one(links) else links))
    return FollowUp(
        task=name,
        args=tuple(signature.get("args") or ()),
        kwargs=signature.get("kwargs") or {},
        gets_result=not signature.get("immutable"),
        then=linked + behind,
    )


def _is_one(links: Any) -> bool:
    return isinstance(links, Mapping)
