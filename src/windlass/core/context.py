"""The context of the attempt that runs: what its code may know of itself."""

import asyncio
import logging
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from windlass.core.occasion import Occasion, occasion_of
from windlass.core.progress import check_progress
from windlass.core.steps import step_of
from windlass.errors import AttemptCancelled, NotInAttempt
from windlass.model.jobs import Claim, JobId, StepOf, headers_of
from windlass.model.runs import History

_CURRENT: ContextVar["Context"] = ContextVar("windlass_context")


class Context:
    """What a running attempt knows of itself.

    idempotency_key: the same for each write of this attempt, different for the next.
    state:           what the app's lifespan has made; None without one, and in a child process.
    headers:         what middleware sent along with the job, texts by name.
    last_progress:   the fraction and the message which it said last; None before the first.
    history:         of a workflow's run, what its attempt goes on from; for the engine.
    deadline:        when the attempt's time limit ends; None without one, and before the
                     task's code begins.
    """

    __slots__ = (
        "_cancelled",
        "_has_news",
        "_headers",
        "_logger",
        "_on_news",
        "attempt",
        "deadline",
        "failures",
        "fence",
        "history",
        "job_id",
        "last_progress",
        "queue",
        "state",
        "task",
    )

    def __init__(
        self,
        claim: Claim,
        state: Any = None,
        on_news: "Callable[[Context], object] | None" = None,
    ) -> None:
        self.job_id: JobId = claim.job_id
        self.task = claim.task
        self.queue = claim.queue
        self.attempt = claim.attempt
        self.failures = claim.failures
        self.fence = claim.fence
        self.state = state
        self.deadline: datetime | None = None
        self.history: History | None = None
        self._headers = claim.headers
        self._logger: _AttemptLogger
        self._cancelled = False  # one writer, one word: no lock needed
        self._on_news = on_news
        self._has_news = False
        self.last_progress: tuple[float, str] | None = None

    @property
    def idempotency_key(self) -> str:
        """The key to hand to other systems, so that this attempt's effect happens once."""
        step = self.step
        if step is not None:
            return f"{step.run}/{step.name}/{step.nth}/{self.attempt}"
        return f"{self.job_id}/{self.attempt}"

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the job; a copy."""
        return headers_of(self._headers)

    @property
    def occasion(self) -> Occasion | None:
        """The tick that started the job: its schedule, its instant, the start of its window.

        A step has that of its run.  None for a job that somebody enqueued.
        """
        return occasion_of(self._headers)

    @property
    def step(self) -> StepOf | None:
        """Which step of which run the job is; None for a job that is no step."""
        return step_of(self._headers)

    @property
    def logger(self) -> "logging.LoggerAdapter[logging.Logger]":
        """The logger ``windlass.task.<name>``, whose records have job_id, task and attempt."""
        try:
            return self._logger
        except AttributeError:
            facts = {"job_id": self.job_id, "task": self.task, "attempt": self.attempt}
            self._logger = _AttemptLogger(logging.getLogger(f"windlass.task.{self.task}"), facts)
            return self._logger

    def progress(self, fraction: float, message: str = "") -> None:
        """Say how far this attempt is: those who watch the job see it.

        fraction: from 0 to 1.   message: one printable line of at most 500 characters.
        Cost:     no write of its own: a few times a second the worker writes the newest of
                  all its attempts together, and the last of each before its end is written.
        Threads:  any may call it.
        Raises:   BadOption.
        """
        # Kept first and flagged then; ``take_news`` the other way round: so nothing is missed.
        self.last_progress = check_progress(fraction, message)
        if not self._has_news:
            self._has_news = True
            if self._on_news is not None:
                self._on_news(self)

    @property
    def has_news(self) -> bool:
        """Whether it said something since ``take_news``.  For the worker."""
        return self._has_news

    def take_news(self) -> tuple[float, str]:
        """Return what it said last, as told from now on.  For the worker."""
        self._has_news = False
        assert self.last_progress is not None
        return self.last_progress

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody asked for this job to stop; plain functions look here."""
        return self._cancelled

    def check_cancelled(self) -> None:
        """Raise AttemptCancelled if a cancel was requested: a good stop for plain functions."""
        if self._cancelled:
            raise AttemptCancelled(self.task)

    def ask_to_cancel(self) -> None:
        """Tell the attempt that it should stop.  For the worker."""
        self._cancelled = True


class _AttemptLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds the facts of the attempt to what the code itself gives as ``extra``."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(kwargs.get("extra") or {}), **(self.extra or {})}
        return msg, kwargs


def context() -> Context:
    """Return the context of the attempt in which this code runs.

    Raises: NotInAttempt anywhere else.
    """
    try:
        return _CURRENT.get()
    except LookupError:
        raise NotInAttempt from None


def is_cancelled() -> bool:
    """Tell whether somebody asked the running asyncio task to stop; else it is the code's own."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def enter_context(current: Context) -> None:
    """Make ``current`` what :func:`context` returns in this task or thread.  For executors."""
    _CURRENT.set(current)
