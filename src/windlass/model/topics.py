"""Topics of wake-ups.  A wake-up is a hint: losing it costs latency, never work."""

from windlass.model.jobs import WorkerId

DONE = "done"  # some job reached a terminal state
PROGRESS = "progress"  # some attempts said how far they are
SCHEDULES = "schedules"  # a schedule was edited, or a leader has resigned
CLOCK = "clock"  # some job was scheduled: the sleeper may have to wake earlier


def queue_topic(queue: str) -> str:
    """Return the topic which rings when a job enters ``queue``."""
    return f"queue:{queue}"


def worker_topic(worker: WorkerId) -> str:
    """Return the topic which rings when a running job of ``worker`` is to be cancelled."""
    return f"worker:{worker}"
