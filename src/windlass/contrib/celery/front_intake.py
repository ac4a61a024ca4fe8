"""From Celery's calls to the jobs that the front end makes of the same calls."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from msgspec.structs import replace as with_

from windlass import App, WindlassError
from windlass.contrib.celery.app import Celery
from windlass.contrib.celery.brokers import Delivery
from windlass.contrib.celery.intake import Origin, Plan
from windlass.contrib.celery.laying import Layout
from windlass.contrib.celery.messages import CeleryCall, Unfit
from windlass.contrib.celery.native_intake import NativeIntake
from windlass.contrib.celery.received import Received
from windlass.contrib.celery.request import HEADER, facts_in
from windlass.model.jobs import (
    PRIORITY_MAX,
    PRIORITY_MIN,
    UNIQUE_KEY_LENGTH_MAX,
    JobId,
    JobRequest,
    headers_of,
)
from windlass.model.once import once_by_key


@dataclass(frozen=True, slots=True)
class Laid:
    """The jobs of one call, all under ids that follow from the message."""

    first: JobRequest
    rest: tuple[JobRequest, ...]
    loses_time_limit: bool

    def rest_after(self, first_id: JobId) -> tuple[JobRequest, ...]:
        """Return the jobs that wait for the first one, parents first."""
        return self.rest


class FrontIntake:
    """Plans the jobs of calls of a front end's tasks, whose ids are Celery's.

    names: the task, or its name, for each Celery name under which the app has none.
    A task that is one of Windlass alone is called as by any other app.
    """

    def __init__(self, front: Celery, names: Mapping[str, Any]) -> None:
        self._front, self._app = front, front.windlass_app
        found = {old: str(getattr(task, "name", task)) for old, task in names.items()}
        self._names = {old: name for old, name in found.items() if name in front.tasks}
        others = {old: name for old, name in found.items() if old not in self._names}
        self._native = NativeIntake(self._app, others)
        of_tasks = (task.windlass_task.spec.queue for task in front.tasks.values())
        self._queues = tuple(dict.fromkeys([*front.conf.queues(), *of_tasks]))

    @property
    def app(self) -> App:
        """The app whose jobs they are."""
        return self._app

    @property
    def origin(self) -> Origin:
        """Where the messages are, as the front end's settings say."""
        options = self._front.conf.get("broker_transport_options") or {}
        return Origin(self._front.celery_broker, self._queues, options)

    def planned(self, call: CeleryCall, delivery: Delivery) -> Plan:
        """Return the jobs of a call; nothing is stored.  Raises: Unfit."""
        name = self._name_of(call.task)
        if name not in self._front.tasks:
            return self._native.planned(call, delivery)
        try:
            requests = self._laid(call, delivery)
        except (WindlassError, TypeError, ValueError) as error:
            raise Unfit(str(error)) from error
        for request in requests:
            if not request.id.isprintable() or len(f"celery:{request.id}") > UNIQUE_KEY_LENGTH_MAX:
                raise Unfit(f"{request.id[:100]!r} is no id of a job")
        if len({request.id for request in requests}) < len(requests):
            raise Unfit("two of its tasks have the same id")
        first, *rest = requests
        once = once_by_key(first.task, f"celery:{call.id}")
        loses = self._loses_time_limit(name, call)
        return Laid(with_(_counted(first, call.retries), once=once), tuple(rest), loses)

    def _name_of(self, name: str) -> str:
        return self._names.get(name, name)

    def _laid(self, call: CeleryCall, delivery: Delivery) -> list[JobRequest]:
        conf = self._front.conf
        sign = -1 if delivery.is_small_first else 1

        def priority_of(number: Any) -> Any:
            """Say it anew for the broker that the settings name, by which it is read."""
            bounded = min(max(sign * int(number), PRIORITY_MIN), PRIORITY_MAX)
            return conf.priority_of(bounded)

        options = {
            "task_id": call.id,
            "eta": call.run_at,
            "expires": call.expires_at,
            "priority": priority_of(sign * delivery.urgency),
            "queue": delivery.queue if delivery.queue in self._queues else None,
            "headers": dict(call.headers),
        }
        received = Received(self._front, self._name_of, priority_of)
        said = {option: value for option, value in options.items() if value is not None}
        whole = received.whole(call, said)
        root = None if call.root_id == call.id else call.root_id
        layout = Layout(self._front, root, call.parent_id, new_id=_Ids(call.id))
        layout.lay(whole, group=call.group_id)
        return layout.requests

    def _loses_time_limit(self, name: str, call: CeleryCall) -> bool:
        task, conf = self._front.tasks[name], self._front.conf
        own_soft = (
            conf.task_soft_time_limit if task.soft_time_limit is None else task.soft_time_limit
        )
        own = (self._front.time_limit_of(name), own_soft)
        return any(
            limit and limit != mine for limit, mine in zip(call.time_limits, own, strict=True)
        )


class _Ids:
    """Makes the ids of jobs for which Celery has none yet: for one call always the same."""

    def __init__(self, call_id: str) -> None:
        self._call_id, self._numbers = call_id, count()

    def __call__(self) -> JobId:
        return JobId(str(uuid5(NAMESPACE_OID, f"celery:{self._call_id}/{next(self._numbers)}")))


def _counted(request: JobRequest, retries: int) -> JobRequest:
    """Note how often Celery has retried a call already."""
    if not retries:
        return request
    facts = {**facts_in(headers_of(request.headers)), "retries": retries}
    return request.with_headers({HEADER: json.dumps(facts)})
