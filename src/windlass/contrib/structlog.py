"""structlog: the facts of the job in each line that its task logs, and a line for each attempt."""

import logging
from typing import Any

from windlass import App, AttemptCall, Notice, Outcome, Proceed
from windlass.contrib.logging import LEVELS, STATES
from windlass.errors import MissingExtra

try:
    import structlog
    from structlog.contextvars import bound_contextvars
except ImportError as error:
    raise MissingExtra("structlog", "structlog") from error


class StructuredLogs:
    """Ties an app to structlog: ``StructuredLogs().install(app)``.

    logger: where the lines of attempts go; default: ``structlog.get_logger("windlass.attempts")``.

    What a task logs gets ``job_id``, ``task``, ``queue`` and ``attempt``, if the processor
    ``structlog.contextvars.merge_contextvars`` is configured; not so in child processes.  The end
    of each attempt is one event, ``job succeeded`` or whatever became of it, its start one for
    debugging; levels and facts are those of ``windlass.contrib.logging``.
    """

    kinds = frozenset(STATES)

    def __init__(self, logger: Any = None) -> None:
        self._logger = structlog.get_logger("windlass.attempts") if logger is None else logger

    def install(self, app: App) -> None:
        """Register with an app."""
        app.around_attempt(self.attempt)
        app.observe(self)

    async def attempt(self, call: AttemptCall, proceed: Proceed[AttemptCall, Outcome]) -> Outcome:
        """Run an attempt with the facts of its job bound."""
        context = call.context
        with bound_contextvars(
            job_id=context.job_id,
            task=context.task,
            queue=context.queue,
            attempt=context.attempt,
        ):
            return await proceed(call)

    def __call__(self, notice: Notice) -> None:
        """Log one notice, if it is of an attempt."""
        level = LEVELS.get(notice.kind, logging.INFO)
        if notice.seconds is None and level != logging.DEBUG:
            return  # it was given back before an attempt began
        facts = {
            "state": STATES[notice.kind],
            "job_id": notice.job_id,
            "task": notice.task,
            "queue": notice.queue,
            "attempt": notice.attempt,
            "worker": notice.worker,
            "seconds": notice.seconds,
            "error_type": notice.error_type,
        }
        told = {name: value for name, value in facts.items() if value is not None}
        self._logger.log(level, f"job {notice.kind}", **told)
