"""Celery's messages as data: protocols 1 and 2, read without Celery.  Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

CHAIN_LENGTH_MAX = 1_000

# What Celery, kombu and RabbitMQ note in the headers of a message.  The others are the caller's.
NOTED = frozenset({
    "argsrepr", "compression", "eta", "expires", "group", "group_index", "id", "ignore_result",
    "kwargsrepr", "lang", "origin", "parent_id", "redelivered", "replaced_task_nesting", "retries",
    "root_id", "shadow", "stamped_headers", "stamps", "task", "timelimit", "x-death",
    "x-delivery-count", "x-first-death-exchange", "x-first-death-queue", "x-first-death-reason",
    "x-last-death-exchange", "x-last-death-queue", "x-last-death-reason",
})  # fmt: skip


class Unfit(Exception):
    """A message cannot become jobs; its text is the reason."""


@dataclass(frozen=True, slots=True)
class CeleryCall:
    """What a message asks for.

    time_limits: in seconds, the hard one and the soft one; of the call, or of its task back then.
    retries:     how often it was tried again before.
    callbacks, errbacks: what runs when it has succeeded, or failed for good.
    chain:       what follows it, the next one first; these three are signatures as they travel.
    headers:     those that the caller gave it.
    """

    id: str
    task: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    run_at: datetime | None
    expires_at: datetime | None
    time_limits: tuple[Any, Any]
    retries: int
    root_id: str | None
    parent_id: str | None
    group_id: str | None
    headers: Mapping[str, Any]
    callbacks: Sequence[Any]
    errbacks: Sequence[Any]
    chain: Sequence[Any]

    @property
    def has_time_limit(self) -> bool:
        """Whether it has a limit, hard or soft."""
        return any(self.time_limits)


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
        return _call(headers, headers, args, kwargs, embed or {})
    if isinstance(body, Mapping) and "task" in body:
        if body.get("utc") is False and (body.get("eta") or body.get("expires")):
            raise Unfit("its ETA or expiry has no time zone")
        return _call(body, headers, body.get("args") or (), body.get("kwargs") or {}, body)
    raise Unfit("it is no message of Celery's protocols 1 and 2")


def _call(
    facts: Mapping[str, Any], headers: Mapping[str, Any], args: Any, kwargs: Any, embed: Any
) -> CeleryCall:
    name, task_id = facts.get("task"), facts.get("id")
    if not isinstance(name, str) or not isinstance(task_id, str) or not task_id:
        raise Unfit("it has no task name or no id")
    if not isinstance(args, Sequence) or not isinstance(kwargs, Mapping):
        raise Unfit("its arguments are no list and mapping")
    if not isinstance(embed, Mapping):
        raise Unfit("its body is not that of Celery's protocol 2")
    if embed.get("chord"):
        raise Unfit("it is the header of a chord, which counts in Celery's result backend")
    chain = _listed(embed.get("chain"))
    if len(chain) > CHAIN_LENGTH_MAX:
        raise Unfit(f"its chain has more than {CHAIN_LENGTH_MAX:,} steps")
    retries, group = facts.get("retries"), facts.get("group") or facts.get("taskset")
    noted = NOTED.union(_listed(facts.get("stamped_headers")))
    return CeleryCall(
        id=task_id,
        task=name,
        args=args,
        kwargs=kwargs,
        run_at=_instant(facts.get("eta"), "ETA"),
        expires_at=_instant(facts.get("expires"), "expiry"),
        time_limits=_pair(facts.get("timelimit")),
        retries=retries if isinstance(retries, int) and retries > 0 else 0,
        root_id=_text(facts.get("root_id")),
        parent_id=_text(facts.get("parent_id")),
        group_id=_text(group),
        headers={k: v for k, v in headers.items() if k not in noted and v is not None},
        callbacks=_listed(embed.get("callbacks")),
        errbacks=_listed(embed.get("errbacks")),
        chain=chain[::-1],  # there the last one stands first
    )


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value] if value else ()


def _pair(limits: Any) -> tuple[Any, Any]:
    hard, soft, *_ = (*_listed(limits), None, None)
    return hard, soft


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _instant(text: Any, what: str) -> datetime | None:
    if text is None:
        return None
    try:
        instant = text if isinstance(text, datetime) else datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise Unfit(f"its {what} is no time: {text!r}") from None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
