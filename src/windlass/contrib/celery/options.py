"""Options of a call, as Celery's ``apply_async`` takes them and as Windlass does."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from windlass import BadOption
from windlass.contrib.celery.exceptions import refuse
from windlass.contrib.celery.setting_checks import check_seconds
from windlass.contrib.celery.signature import as_list

# These only say how a message is published; here an enqueue is a transaction.
WITHOUT_MEANING = frozenset({"retry", "retry_policy", "add_to_parent", "connection", "producer",
                             "delivery_mode", "mandatory", "immediate"})  # fmt: skip

REFUSED = {
    "routing_key": "queue=…",
    "exchange": "queue=…",
    "router": "the setting task_routes",
    "time_limit": "time_limit=… of the task, or timeout=… of a task of Windlass",
    "soft_time_limit": "soft_time_limit=… of the task",
    "compression": "results above a size: the setting large_results",
    "shadow": "name=… of the task",
    "reply_to": "results are read from the store: AsyncResult(id)",
    "group_id": "group(…)",
    "chord": "chord(…)",
    "root_id": "chain(…)",
    "parent_id": "chain(…)",
    "stamped_headers": "headers=…, texts by name",
    "retries": "max_retries=… of the task",
}
KNOWN = ("countdown", "eta", "expires", "queue", "priority", "task_id", "link", "link_error",
         "ignore_result", "headers", "serializer")  # fmt: skip


@dataclass(slots=True)
class CallOptions:
    """The options of one call.

    delay_s:   until it may start; for a call that waits for others, after these have ended.
    expires:   seconds, or an instant.
    """

    delay_s: float | None = None
    eta: datetime | None = None
    expires: float | datetime | None = None
    queue: str | None = None
    priority: int | None = None
    task_id: str | None = None
    links: list[Any] = field(default_factory=list)
    errbacks: list[Any] = field(default_factory=list)
    ignore_result: bool = False
    headers: str | None = None

    def using(self) -> dict[str, Any]:
        """Return those which Windlass has too, as ``Task.using`` takes them."""
        delay = {} if self.delay_s is None else {"delay": self.delay_s}
        return {
            **(delay or ({} if self.eta is None else {"run_at": self.eta})),
            **({} if self.expires is None else {"expires": self.expires}),
            **({} if self.queue is None else {"queue": self.queue}),
            **({} if self.priority is None else {"priority": self.priority}),
        }


def call_options(given: Mapping[str, Any], conf: Any) -> CallOptions:
    """Return options as they are meant.  Raises: NotSupported."""
    options = {name: value for name, value in given.items() if value is not None}
    for name in options:
        if name in REFUSED:
            refuse(f"option {name!r} of a call", REFUSED[name])
        if name not in KNOWN and name not in WITHOUT_MEANING:
            refuse(f"option {name!r} of a call", f"those there are: {', '.join(KNOWN)}")
    if options.get("serializer", "json") != "json":
        refuse(
            f"serializer {options['serializer']!r}", "json; see docs/serialization.md for others"
        )
    if not isinstance(headers := options.get("headers", {}), Mapping):
        raise BadOption("headers", headers, "must be a dict")
    countdown = options.get("countdown")
    eta, expires = options.get("eta"), options.get("expires")
    return CallOptions(
        delay_s=None if countdown is None else _seconds(countdown),
        eta=None if eta is None or countdown is not None else aware("eta", eta, conf),
        expires=aware("expires", expires, conf) if isinstance(expires, datetime | str) else expires,
        queue=queue_name(options.get("queue")),
        priority=_priority(options.get("priority"), conf),
        task_id=options.get("task_id"),
        links=as_list(options.get("link")),
        errbacks=as_list(options.get("link_error")),
        ignore_result=bool(options.get("ignore_result", False)),
        headers=_headers(headers) if headers else None,
    )


def queue_name(queue: Any) -> str | None:
    """Return the name of a queue that is given by its name or as kombu's Queue."""
    return None if queue is None else str(getattr(queue, "name", queue))


def _seconds(countdown: Any) -> float:
    """Return a countdown; one below zero is over already."""
    is_over = isinstance(countdown, int | float) and countdown < 0
    return 0.0 if is_over else check_seconds("countdown", countdown)


def _priority(priority: Any, conf: Any) -> int | None:
    if priority is None:
        return None
    if isinstance(priority, bool) or not isinstance(priority, int):
        raise BadOption("priority", priority, "must be a whole number")
    own: int = conf.priority_of(priority)
    return own


def _headers(headers: Mapping[str, Any]) -> str:
    try:
        return json.dumps(headers)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadOption("headers", headers, f"must have a form in JSON: {error}") from error


def aware(option: str, instant: Any, conf: Any) -> datetime:
    """Return an instant with its zone; one without a zone is in that of the app.

    Raises: BadOption.
    """
    try:
        when = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    except ValueError as error:
        raise BadOption(option, instant, str(error)) from error
    if not isinstance(when, datetime):
        raise BadOption(option, instant, "must be a datetime")
    return (when if when.tzinfo else when.replace(tzinfo=conf.zone)).astimezone(UTC)
