"""The request: what a running task knows of how it was called, as ``self.request``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from windlass.contrib.celery.exceptions import refuse

HEADER = "celery"  # of a job: what Windlass itself does not know of it
OWN_HEADERS = "celery-headers"


@dataclass(slots=True)
class Request:
    """How a task was called.

    id:        the job's; None in a plain call.
    args, kwargs: the arguments, as they were given.
    retries:   how often it was tried again before this.
    root_id, parent_id, group: of the job that began it all, of the one before, of the group.
    delivery_info: ``routing_key`` is the queue.
    """

    task: str | None = None
    id: str | None = None
    args: Any = None
    kwargs: Any = None
    retries: int = 0
    root_id: str | None = None
    parent_id: str | None = None
    group: str | None = None
    is_eager: bool = False
    called_directly: bool = True
    hostname: str | None = None
    headers: Mapping[str, Any] | None = None
    delivery_info: dict[str, Any] | None = None
    errbacks: list[Any] = field(default_factory=list)

    @property
    def correlation_id(self) -> str | None:
        """The id of the job."""
        return self.id

    @property
    def root(self) -> str | None:
        """The id of the job that began it all; its own where it did."""
        return self.root_id or self.id

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or a default."""
        return getattr(self, name, default)

    def __getattr__(self, name: str) -> Any:
        if name in _REFUSED:
            refuse(f"request.{name}", _REFUSED[name])
        raise AttributeError(f"the request of a task has no {name!r}")


_REFUSED = {
    "chord": "a chord's body is a job that waits for its header's",
    "chain": "the rest of a chain are jobs that wait already: windlass jobs list",
    "callbacks": "linked tasks are jobs that wait already: windlass jobs list",
    "eta": "see due_at of app.windlass_app.operations.get(request.id)",
    "expires": "see expires_at of app.windlass_app.operations.get(request.id)",
    "timelimit": "see time_limit of the task",
    "origin": "send it as an argument",
    "reply_to": "results are read from the store",
    "stamps": "send them as headers, texts by name",
    "stamped_headers": "send them as headers, texts by name",
}


def facts_in(headers: Mapping[str, str]) -> dict[str, Any]:
    """Return what the front end has noted in a job's headers."""
    noted = headers.get(HEADER)
    facts = json.loads(noted) if noted else {}
    return facts if isinstance(facts, dict) else {}


def own_headers_in(headers: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the headers that the caller gave to a job."""
    noted = headers.get(OWN_HEADERS)
    return json.loads(noted) if noted else None
