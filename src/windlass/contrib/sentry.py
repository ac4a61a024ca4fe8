"""Sentry: an event for each unexpected exception of an attempt, with the facts of its job."""

from typing import Any

from windlass import App, AttemptCall, Context, Outcome, Proceed
from windlass.errors import MissingExtra

try:
    import sentry_sdk
except ImportError as error:
    raise MissingExtra("sentry", "sentry_sdk") from error


class Sentry:
    """Tells Sentry the errors of an app's attempts: ``Sentry().install(app)``.

    flush_s: wait so long, after each event, until it is sent; 0 leaves that to the SDK's thread.
             For tasks with ``isolation="process"``, whose processes may be killed at any time.

    The program calls ``sentry_sdk.init`` itself, also where child processes import it.  Each
    attempt has an isolation scope of its own, so that the breadcrumbs of jobs which run at the
    same time do not mix.
    """

    def __init__(self, *, flush_s: float = 0.0) -> None:
        self._flush_s = flush_s

    def install(self, app: App) -> None:
        """Register with an app."""
        app.around_attempt(self.attempt)
        app.observe_errors(self)

    async def attempt(self, call: AttemptCall, proceed: Proceed[AttemptCall, Outcome]) -> Outcome:
        """Run an attempt in a scope of its own."""
        with sentry_sdk.isolation_scope() as scope:
            _describe(scope, call.context)
            return await proceed(call)

    def __call__(self, error: BaseException, context: Context) -> None:
        """Send one event, from where the exception was raised."""
        with sentry_sdk.new_scope() as scope:
            _describe(scope, context)  # in a child process the attempt's scope is not seen
            sentry_sdk.capture_exception(error)
        if self._flush_s:
            sentry_sdk.flush(self._flush_s)


def _describe(scope: Any, context: Context) -> None:
    scope.set_transaction_name(context.task, source="task")
    scope.set_tag("windlass.task", context.task)
    scope.set_tag("windlass.queue", context.queue)
    facts = {
        "job_id": context.job_id,
        "task": context.task,
        "queue": context.queue,
        "attempt": context.attempt,
        "failures before": context.failures,
    }
    scope.set_context("windlass", facts)
