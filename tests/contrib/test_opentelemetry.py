"""OpenTelemetry traces, with the real library: one trace from an enqueue to its attempts."""

import asyncio

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tests.app.live import WAIT_S, ended, quick_app, working
from windlass import App, Retry, context
from windlass.contrib.opentelemetry import Traces


@pytest.fixture
def traced(store_url: str) -> tuple[App, InMemorySpanExporter, TracerProvider]:
    """An app whose spans can be read."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = quick_app(store_url)
    Traces(provider).install(app)
    return app, exporter, provider


def by_name(spans: tuple[ReadableSpan, ...], name: str) -> list[ReadableSpan]:
    return [span for span in spans if span.name == name]


def trace_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.trace_id)


async def test_each_attempt_is_a_child_of_its_enqueue(
    traced: tuple[App, InMemorySpanExporter, TracerProvider],
) -> None:
    app, exporter, provider = traced

    @app.task(name="t", queue="q", retry=Retry(2, delay=0.01))
    async def task() -> str:
        if context().attempt == 1:
            raise OSError("the disk")
        return context().headers["traceparent"]

    async with working(app):
        with provider.get_tracer("test").start_as_current_span("request"):
            job = await task.aenqueue()
        told = await job.aresult(WAIT_S)

    spans = exporter.get_finished_spans()
    [request], [send] = by_name(spans, "request"), by_name(spans, "send q")
    first, second = by_name(spans, "process q")
    assert {trace_of(span) for span in spans} == {trace_of(request)}
    assert send.parent == request.context
    assert send.context is not None
    for attempt in (first, second):
        assert attempt.parent is not None
        assert attempt.parent.span_id == send.context.span_id
    assert f"{send.context.span_id:016x}" in told

    assert (send.kind, first.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert send.attributes is not None
    assert first.attributes is not None
    assert second.attributes is not None
    assert send.attributes["messaging.message.id"] == job.id
    assert first.attributes["messaging.message.id"] == job.id
    assert (first.attributes["windlass.attempt"], second.attributes["windlass.attempt"]) == (1, 2)
    assert first.status.status_code is StatusCode.ERROR
    assert first.attributes["error.type"] == "OSError"
    assert [event.name for event in first.events] == ["exception"]
    assert second.attributes["windlass.outcome"] == "succeeded"


async def test_a_batch_is_one_span_and_its_attempts_are_its_children(
    traced: tuple[App, InMemorySpanExporter, TracerProvider],
) -> None:
    app, exporter, _ = traced

    @app.task
    def plain(n: int) -> str:
        return f"{trace.get_current_span().get_span_context().trace_id}"

    async with working(app):
        jobs = await app.aenqueue_many([plain.prepare(n) for n in range(5)])
        inside = {await job.aresult(WAIT_S) for job in jobs}
        for job in jobs:
            await ended(job)

    [send] = by_name(exporter.get_finished_spans(), "send default")
    assert send.attributes is not None
    assert send.attributes["messaging.batch.message_count"] == 5
    attempts = by_name(exporter.get_finished_spans(), "process default")
    assert len(attempts) == 5
    assert inside == {str(trace_of(send))}  # the task's own spans belong to the trace


def test_a_blocking_enqueue_belongs_to_the_callers_trace(
    traced: tuple[App, InMemorySpanExporter, TracerProvider],
) -> None:
    app, exporter, provider = traced
    task = app.task(_noop)
    with provider.get_tracer("test").start_as_current_span("request"):
        task.enqueue()
    app.close()

    [request] = by_name(exporter.get_finished_spans(), "request")
    [send] = by_name(exporter.get_finished_spans(), "send default")
    assert send.parent == request.context


def _noop() -> None: ...


async def test_a_retry_of_a_dead_letter_stays_in_its_trace(
    traced: tuple[App, InMemorySpanExporter, TracerProvider],
) -> None:
    app, exporter, _ = traced

    @app.task
    async def fail() -> None:
        await asyncio.sleep(0)
        raise OSError

    async with working(app):
        job = await ended(await fail.aenqueue())
        client = await app.client()
        again = await client.retry(job.id, app.new_job_id())
        while (await client.get(again)).ended_at is None:
            await asyncio.sleep(0.01)

    spans = exporter.get_finished_spans()
    assert len(by_name(spans, "process default")) == 2
    assert len({trace_of(span) for span in spans}) == 1
