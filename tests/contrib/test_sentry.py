"""What Sentry's SDK sends, seen by a transport of ours."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from tests.app.live import ended, quick_app, working
from windlass import Retry, Snooze, context
from windlass.contrib.sentry import Sentry


class KeepingTransport(Transport):
    """Keeps the events instead of sending them."""

    events: list[Any]

    def capture_envelope(self, envelope: Envelope) -> None:
        """Keep the event, if it is one."""
        event = envelope.get_event()
        if event is not None:
            self.events.append(event)


@pytest.fixture
def events() -> Iterator[list[Any]]:
    transport = KeepingTransport()
    transport.events = []
    with sentry_sdk.isolation_scope():
        sentry_sdk.init(transport=transport, default_integrations=False)
        yield transport.events
        sentry_sdk.get_client().close()
        sentry_sdk.get_global_scope().set_client(None)


async def test_each_unexpected_error_is_sent_with_the_facts_of_its_job(
    store_url: str, events: list[Any]
) -> None:
    app = quick_app(store_url)
    Sentry().install(app)

    @app.task(name="plain", queue="q", retry=Retry(2, delay=0.01))
    def plain(cents: int) -> None:
        raise OSError("the line is dead")

    @app.task(name="unblocking")
    async def unblocking(n: int) -> None:
        sentry_sdk.add_breadcrumb(message=f"crumb {n}")
        await asyncio.sleep(0.05)
        raise ValueError(f"value {n}")

    @app.task(name="later")
    def later() -> None:
        if context().attempt == 1:
            raise Snooze(0.01)

    async with working(app):
        jobs = [await plain.aenqueue(7), await unblocking.aenqueue(1), await unblocking.aenqueue(2)]
        for job in [*jobs, await later.aenqueue()]:
            await ended(job)

    def of(job_id: str) -> list[Any]:
        return [event for event in events if event["contexts"]["windlass"]["job_id"] == job_id]

    assert len(events) == 4
    assert [event["contexts"]["windlass"]["attempt"] for event in of(jobs[0].id)] == [1, 2]
    event = of(jobs[0].id)[0]
    [error] = event["exception"]["values"]
    assert (error["type"], error["value"]) == ("OSError", "the line is dead")
    frame = error["stacktrace"]["frames"][-1]
    assert (frame["function"], frame["vars"]["cents"]) == ("plain", "7")
    assert event["transaction"] == "plain"
    assert (event["tags"]["windlass.task"], event["tags"]["windlass.queue"]) == ("plain", "q")
    for n in (1, 2):
        [event] = of(jobs[n].id)
        assert [crumb["message"] for crumb in event["breadcrumbs"]["values"]] == [f"crumb {n}"]


CHILD_APP = """
import sentry_sdk
from sentry_sdk.transport import Transport

from windlass import App
from windlass.contrib.sentry import Sentry


class ToFile(Transport):
    def capture_envelope(self, envelope):
        event = envelope.get_event()
        with open({sent!r}, "a") as file:
            file.write(event["contexts"]["windlass"]["job_id"] + chr(10))


sentry_sdk.init(transport=ToFile(), default_integrations=False)
app = App({store!r})
Sentry(flush_s=2).install(app)


@app.task(isolation="process")
def broken():
    raise OSError("in a child")
"""


async def test_an_error_in_a_child_process_is_sent_too(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: list[Any]
) -> None:
    sent = tmp_path / "sent"
    code = CHILD_APP.format(sent=str(sent), store=store_url)
    (tmp_path / "sentry_child_app.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    import sentry_child_app  # type: ignore[import-not-found]

    async with working(sentry_child_app.app, target="sentry_child_app:app"):
        job = await ended(await sentry_child_app.broken.aenqueue())
    monkeypatch.delitem(sys.modules, "sentry_child_app")

    assert sent.read_text().split() == [job.id]
