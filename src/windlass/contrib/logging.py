"""Structured records of attempts, for the standard library's logging."""

import logging

from windlass import Notice, NoticeKind, State

STATES = {
    NoticeKind.STARTED: State.RUNNING,
    NoticeKind.SUCCEEDED: State.SUCCEEDED,
    NoticeKind.RETRIED: State.SCHEDULED,
    NoticeKind.FAILED: State.FAILED,
    NoticeKind.SNOOZED: State.SCHEDULED,
    NoticeKind.CANCELLED: State.CANCELLED,
    NoticeKind.RELEASED: State.QUEUED,
    NoticeKind.REFUSED: None,  # another holder has won, and decides
}
LEVELS = {
    NoticeKind.RETRIED: logging.WARNING,
    NoticeKind.REFUSED: logging.WARNING,
    NoticeKind.FAILED: logging.ERROR,
}


class Logs:
    """An observer that logs the start and the end of each attempt: ``app.observe(Logs())``.

    logger: where the records go; default: ``windlass.attempts``.

    Each is one line, with its facts as ``extra``: ``what`` (the kind of the notice), ``state``
    (of the job, after it), ``job_id``, ``task``, ``queue``, ``attempt``, ``worker``, ``seconds``
    (None at the start), ``error_type``.  Failures are errors, retries and refusals warnings.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger("windlass.attempts")

    def __call__(self, notice: Notice) -> None:
        """Log one notice, if it is of an attempt."""
        kind, seconds = notice.kind, notice.seconds
        if kind is not NoticeKind.STARTED and seconds is None:
            return
        level = LEVELS.get(kind, logging.INFO)
        if not self._logger.isEnabledFor(level):
            return
        after = "" if seconds is None else f" after {seconds:.3f} s"
        self._logger.log(
            level,
            "job %s (%s) attempt %s %s%s%s",
            notice.job_id,
            notice.task,
            notice.attempt,
            kind,
            after,
            f": {notice.error_type}" if notice.error_type else "",
            extra={
                "what": str(kind),
                "state": STATES.get(kind),
                "job_id": notice.job_id,
                "task": notice.task,
                "queue": notice.queue,
                "attempt": notice.attempt,
                "worker": notice.worker,
                "seconds": seconds,
                "error_type": notice.error_type,
            },
        )
