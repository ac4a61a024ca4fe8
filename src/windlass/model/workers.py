"""Workers and the leases they hold."""

from datetime import datetime

import msgspec

from windlass.model.jobs import JobId, WorkerId


class WorkerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker says of itself when it renews; ``id`` alone is its identity.

    host, pid: labels for people, never compared.
    """

    id: WorkerId
    host: str
    pid: int
    queues: tuple[str, ...]
    slots: int


class Lease(msgspec.Struct, frozen=True):
    """The answer to a renewal.

    held:    False if the store had already given the worker up; its claims are void.
    cancels: jobs of this worker whose cancel was requested.
    drains:  an operator wants this worker to end what it runs, claim no more, and stop.
    """

    held: bool
    cancels: tuple[JobId, ...] = ()
    drains: bool = False


class WorkerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as the store knows it, with the number of jobs it runs."""

    id: WorkerId
    host: str
    pid: int
    queues: tuple[str, ...]
    slots: int
    running: int
    started_at: datetime
    lease_until: datetime


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What one sweep moved.

    next_due_s: seconds until the next scheduled job is due (0 if more is due than
                one sweep moves); None if nothing is scheduled.
    """

    promoted: int = 0
    rescued: int = 0
    poisoned: int = 0
    expired: int = 0
    lifted: int = 0
    next_due_s: float | None = None
