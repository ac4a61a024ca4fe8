"""From Celery's calls to jobs: what both ways have in common, and how each call is stored once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from windlass import App
from windlass.contrib.celery.brokers import Delivery
from windlass.contrib.celery.messages import CeleryCall
from windlass.errors import UnavailableError
from windlass.model.jobs import JobId, JobRequest


@dataclass(frozen=True, slots=True)
class Origin:
    """Where Celery's messages are, as far as an app says it.   broker: None if it does not."""

    broker: str | None = None
    queues: tuple[str, ...] = ("celery",)
    transport_options: Mapping[str, Any] = field(default_factory=dict)


class Plan(Protocol):
    """The jobs of one call; whoever plans it again gets the same ones."""

    @property
    def first(self) -> JobRequest:
        """The job of the call itself, with an idempotency key."""
        ...

    @property
    def loses_time_limit(self) -> bool:
        """Whether the call had a time limit that its job has not."""
        ...

    def rest_after(self, first_id: JobId) -> Sequence[JobRequest]:
        """Return the jobs that wait for it, parents first.

        first_id: the id that the first job has: an earlier delivery may have made it.
        """
        ...


class Intake(Protocol):
    """Plans the jobs of calls, for one app.   app: stores them."""

    @property
    def app(self) -> App:
        """The app whose jobs they are."""
        ...

    @property
    def origin(self) -> Origin:
        """Where the messages are, if nobody else says it."""
        ...

    def planned(self, call: CeleryCall, delivery: Delivery) -> Plan:
        """Return the jobs of a call; nothing is stored.

        delivery: how it came.
        Raises:   Unfit.
        """
        ...


async def store(app: App, plans: Sequence[Plan]) -> list[str | None]:
    """Store the jobs; return for each call why it cannot be stored, None where it is durable.

    Raises: UnavailableError; then nothing is known of any of them.
    """
    try:
        ids = await app.aenqueue_requests([each.first for each in plans])
        after = zip(plans, ids, strict=True)
        rest = [request for each, first in after for request in each.rest_after(first)]
        if rest:
            await app.aenqueue_requests(rest)
    except UnavailableError:
        raise
    except Exception as error:  # also of the app's own middleware
        if len(plans) == 1:
            return [f"{type(error).__name__}: {error}"]
        half = len(plans) // 2
        return await store(app, plans[:half]) + await store(app, plans[half:])
    return [None] * len(plans)
