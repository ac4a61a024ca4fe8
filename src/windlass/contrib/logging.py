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
    NoticeKind.CONTINUED: State.WAITING,
    NoticeKind.RELEASED: State.QUEUED,
    NoticeKind.REFUSED: None,  # another holder has won, and decides
}
LEVELS = {
    NoticeKind.STARTED: logging.DEBUG,
    NoticeKind.RETRIED: logging.WARNING,
    NoticeKind.REFUSED: logging.WARNING,
    NoticeKind.FAILED: logging.ERROR,
}


class Logs:
    """An observer that logs the start and the end of each attempt: ``app.observe(Logs())``.

    logger: where the records go; default: ``windlass.attempts``.

    Each is one line, with its facts as ``extra`` would give them: ``what`` (the kind of the
    notice), ``state`` (of the job, after it), ``job_id``, ``task``, ``queue``, ``attempt``,
    ``worker``, ``seconds`` (None at the start), ``error_type``.  Failures are errors, retries
    and refusals warnings, starts are for debugging.
    """

    kinds = frozenset(STATES)

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger("windlass.attempts")

    def __call__(self, notice: Notice) -> None:
        """Log one notice, if it is of an attempt."""
        kind, seconds, logger = notice.kind, notice.seconds, self._logger
        level = LEVELS.get(kind, logging.INFO)
        if not logger.isEnabledFor(level):
            return
        line = "job %s (%s) attempt %s %s"
        told: tuple[object, ...] = (notice.job_id, notice.task, notice.attempt, kind)
        if seconds is not None:
            line += " after %.3f s"
            told += (seconds,)
        elif level != logging.DEBUG:
            return  # it was given back before an attempt began
        if notice.error_type is not None:
            line += ": %s"
            told += (notice.error_type,)
        # Not logger.log: it would look for the line of code that logs, and merge our facts one
        # by one, which together take as long as writing the line.
        record = logger.makeRecord(logger.name, level, __file__, 0, line, told, None)
        record.__dict__.update(
            what=str(kind),
            state=STATES[kind],
            job_id=notice.job_id,
            task=notice.task,
            queue=notice.queue,
            attempt=notice.attempt,
            worker=notice.worker,
            seconds=seconds,
            error_type=notice.error_type,
        )
        logger.handle(record)
