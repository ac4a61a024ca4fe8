"""Celery's messages as data: protocols 1 and 2, read without Celery.  Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

CHAIN_LENGTH_MAX = 1_000

# Of a follow-up's options these say where and under which id it would have gone.
ROUTES = frozenset(
    {"task_id", "root_id", "parent_id", "reply_to", "queue", "exchange", "routing_key", "priority",
     "serializer", "compression", "ignore_result", "shadow", "link"}
)  # fmt: skip


class Unfit(Exception):
    """A message cannot become jobs; its text is the reason."""


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


@dataclass(frozen=True, slots=True)
class CeleryCall:
    """What a message asks for.   has_time_limit: a limit for this call only."""

    id: str
    task: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    run_at: datetime | None
    expires_at: datetime | None
    has_time_limit: bool
    follow_ups: tuple[FollowUp, ...]


def read_call(headers: Mapping[str, Any], body: Any) -> CeleryCall:
    """Return the call in a message of protocol 2 (it stands in the headers) or 1.

    body:   decoded.
    Raises: Unfit.
    """
    if "task" in headers:
        try:
            args, kwargs, embed = body
        except (TypeError, ValueError):
            raise Unfit("its body is not that of Celery's protocol 2") from None
        return _call(headers, args, kwargs, embed or {})
    if isinstance(body, Mapping) and "task" in body:
        if body.get("utc") is False and (body.get("eta") or body.get("expires")):
            raise Unfit("its ETA or expiry has no time zone")
        return _call(body, body.get("args") or (), body.get("kwargs") or {}, body)
    raise Unfit("it is no message of Celery's protocols 1 and 2")


def _call(facts: Mapping[str, Any], args: Any, kwargs: Any, embed: Any) -> CeleryCall:
    name, task_id = facts.get("task"), facts.get("id")
    if not isinstance(name, str) or not isinstance(task_id, str) or not task_id:
        raise Unfit("it has no task name or no id")
    if not isinstance(args, Sequence) or not isinstance(kwargs, Mapping):
        raise Unfit("its arguments are no list and mapping")
    if not isinstance(embed, Mapping):
        raise Unfit("its body is not that of Celery's protocol 2")
    if embed.get("chord"):
        raise Unfit("it is the header of a chord, which counts in Celery's result backend")
    if embed.get("errbacks"):
        raise Unfit("it has an error callback (link_error)")
    return CeleryCall(
        id=task_id,
        task=name,
        args=args,
        kwargs=kwargs,
        run_at=_instant(facts.get("eta"), "ETA"),
        expires_at=_instant(facts.get("expires"), "expiry"),
        has_time_limit=any(facts.get("timelimit") or ()),
        follow_ups=tuple(_follow_ups(embed)),
    )


def _follow_ups(embed: Mapping[str, Any]) -> Iterator[FollowUp]:
    for signature in embed.get("callbacks") or ():
        yield _follow_up(signature, ())
    steps = embed.get("chain") or ()
    if len(steps) > CHAIN_LENGTH_MAX:
        raise Unfit(f"its chain has more than {CHAIN_LENGTH_MAX:,} steps")
    behind: tuple[FollowUp, ...] = ()
    for signature in steps:  # the last one first
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


def _instant(text: Any, what: str) -> datetime | None:
    if text is None:
        return None
    try:
        instant = text if isinstance(text, datetime) else datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise Unfit(f"its {what} is no time: {text!r}") from None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
