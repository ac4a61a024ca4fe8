"""Structured records of attempts, for the standard library's logging."""

import logging
import os
import time
from threading import get_ident

from windlass import Notice, NoticeKind, State

STATES = {
    NoticeKind.STARTED: State.RUNNING,
    NoticeKind.SUCCEEDED: State.SUCCEEDED,
    NoticeKind.RETRIED: State.SCHEDULED,
    NoticeKind.FAILED: State.FAILED,
    NoticeKind.SNOOZED: State.SCHEDULED,
    NoticeKind.CANCELLED: State.CANCELLED,
    NoticeKind.CONTINUED: State.WAITING,
    NoticeKind.HELD: State.HELD,
    NoticeKind.RELEASED: State.QUEUED,
    NoticeKind.REFUSED: None,  # another holder has won, and decides
}
LEVELS = {
    NoticeKind.STARTED: logging.DEBUG,
    NoticeKind.RETRIED: logging.WARNING,
    NoticeKind.REFUSED: logging.WARNING,
    NoticeKind.FAILED: logging.ERROR,
    NoticeKind.HELD: logging.ERROR,
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
        self._firsts: dict[
            tuple[int, int, int], logging.LogRecord
        ] = {}  # by level, thread, process

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
        record = self._new_record(level)
        record.msg, record.args = line, told
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

    def _new_record(self, level: int) -> logging.LogRecord:
        """Return a record of this instant.

        Not by ``logger.log``: it would look for the line of code that logs, and find out anew the
        thread, the process and their names, which takes longer than to write the line.
        """
        if logging.getLogRecordFactory() is not logging.LogRecord:
            return self._make_record(level)
        key = level, get_ident(), os.getpid()  # what all its records have in common
        first = self._firsts.get(key)
        if first is None:
            first = self._firsts[key] = self._make_record(level)
        record = logging.LogRecord.__new__(logging.LogRecord)
        now = time.time()
        since_ms = (now - first.created) * 1_000
        record.__dict__.update(first.__dict__)
        record.created = now
        record.msecs = now % 1 * 1_000 // 1
        record.relativeCreated = first.relativeCreated + since_ms
        return record

    def _make_record(self, level: int) -> logging.LogRecord:
        return self._logger.makeRecord(self._logger.name, level, __file__, 0, "", (), None)
