"""OpenTelemetry traces: a span for each enqueue and each attempt, in one trace.

Source: the semantic conventions for messaging, https://opentelemetry.io/docs/specs/semconv/.
"""

from collections.abc import Sequence
from typing import Any

from windlass import App, AttemptCall, EnqueueCall, Failed, JobId, Outcome, Proceed, Router
from windlass.errors import MissingExtra

try:
    from opentelemetry import propagate, trace
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
except ImportError as error:
    raise MissingExtra("traces", "opentelemetry") from error

SYSTEM = "windlass"


class Traces:
    """Middleware that traces every task of an app or a router: ``Traces().install(app)``.

    provider: where spans go; default: the one that the program has set up.

    The context of an enqueue travels in the job's headers, so that the span of each attempt
    is a child of the span of its enqueue, on whatever machine it runs.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("windlass", tracer_provider=provider)

    def install(self, app: App | Router) -> None:
        """Register for all tasks of an app or a router."""
        app.around_enqueue(self.enqueue)
        app.around_attempt(self.attempt)

    async def enqueue(
        self, call: EnqueueCall, proceed: Proceed[EnqueueCall, Sequence[JobId]]
    ) -> Sequence[JobId]:
        """Trace one round trip of an enqueue."""
        queues = sorted({request.queue for request in call.requests})
        name = f"send {queues[0]}" if len(queues) == 1 else "send"
        facts: dict[str, Any] = {"messaging.operation.type": "send", "messaging.system": SYSTEM}
        if len(queues) == 1:
            facts["messaging.destination.name"] = queues[0]
        if len(call.requests) == 1:
            facts["messaging.message.id"] = call.requests[0].id
            facts["windlass.task"] = call.requests[0].task
        else:
            facts["messaging.batch.message_count"] = len(call.requests)
        with self._tracer.start_as_current_span(name, kind=SpanKind.PRODUCER, attributes=facts):
            carrier: dict[str, str] = {}
            propagate.inject(carrier)
            requests = tuple(request.with_headers(carrier) for request in call.requests)
            return await proceed(EnqueueCall(requests))

    async def attempt(self, call: AttemptCall, proceed: Proceed[AttemptCall, Outcome]) -> Outcome:
        """Trace one attempt."""
        context = call.context
        facts: dict[str, Any] = {
            "messaging.operation.type": "process",
            "messaging.system": SYSTEM,
            "messaging.destination.name": context.queue,
            "messaging.message.id": context.job_id,
            "windlass.task": context.task,
            "windlass.attempt": context.attempt,
        }
        with self._tracer.start_as_current_span(
            f"process {context.queue}",
            context=propagate.extract(context.headers),
            kind=SpanKind.CONSUMER,
            attributes=facts,
        ) as span:
            outcome = await proceed(call)
            span.set_attribute("windlass.outcome", type(outcome).__name__.lower())
            if isinstance(outcome, Failed):
                _tell_failure(span, outcome)
            return outcome


def _tell_failure(span: Span, outcome: Failed) -> None:
    error = outcome.error
    span.set_attribute("error.type", error.type)
    facts = {
        "exception.type": error.type,
        "exception.message": error.message,
        "exception.stacktrace": error.traceback,
    }
    span.add_event("exception", facts)
    span.set_status(Status(StatusCode.ERROR, error.message))
