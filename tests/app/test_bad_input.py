"""What is refused at the call: a typed error that says what, which and what next."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.app.live import quick_app
from windlass import App, Retry
from windlass.errors import (
    BadArguments,
    BadOption,
    BadStoreUrl,
    BadTask,
    NotEncodable,
    PayloadTooLarge,
    TaskNotFound,
    WindlassError,
)
from windlass.model.jobs import UNIQUE_KEY_LENGTH_MAX


@pytest.fixture
def app(tmp_path: Path) -> App:
    return quick_app(f"sqlite:///{tmp_path}/jobs.db")


def greet(to: str, count: int = 1) -> str:
    return to * count


NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
USING: dict[str, tuple[dict[str, Any], str]] = {
    "a negative delay": ({"delay": -1}, "delay = -1: must be zero or more"),
    "a negative timedelta": ({"delay": timedelta(seconds=-1)}, "must be zero or more"),
    "a delay that is no number": ({"delay": math.nan}, "must be zero or more, and finite"),
    "an endless delay": ({"delay": math.inf}, "must be zero or more, and finite"),
    "a delay as text": ({"delay": "5 minutes"}, "must be a timedelta or a number of seconds"),
    "a delay as truth": ({"delay": True}, "must be a timedelta or a number of seconds"),
    "a delay beyond what instants can say": ({"delay": 1e12}, "at most a hundred years"),
    "an expiry beyond what instants can say": ({"expires": 1e300}, "at most a hundred years"),
    "a naive instant": ({"run_at": NOON.replace(tzinfo=None)}, "with a time zone"),
    "an instant as text": ({"run_at": "2030-01-01"}, "must be a datetime"),
    "a delay and an instant": ({"delay": 1, "run_at": NOON}, "either delay or run_at"),
    "a negative expiry": ({"expires": -1}, "must be zero or more"),
    "a naive expiry": ({"expires": NOON.replace(tzinfo=None)}, "with a time zone"),
    "a priority too high": ({"priority": 101}, "from -100 to 100; higher goes first"),
    "a priority too low": ({"priority": -101}, "from -100 to 100"),
    "half a priority": ({"priority": 0.5}, "must be a whole number"),
    "an empty queue": ({"queue": ""}, "must be a text of 1 to"),
    "a queue with a line break": ({"queue": "a\nb"}, "must be printable"),
    "a queue with a NUL": ({"queue": "a\0b"}, "must be printable"),
    "a queue that is none": ({"queue": 7}, "must be a text"),
    "an empty key": ({"unique_key": ""}, "must be a text of 1 to"),
    "a key too long": ({"unique_key": "k" * (UNIQUE_KEY_LENGTH_MAX + 1)}, "must be a text of 1 to"),
    "a key with a NUL": ({"unique_key": "a\0b"}, "must be printable"),
    "a key of half a pair": ({"unique_key": "\ud800"}, "must be printable"),
    "an unknown option": ({"dealy": 1}, "did you mean 'delay'?"),
    "an option of elsewhere": ({"colour": 1}, "known: delay, run_at, expires"),
}


@pytest.mark.parametrize("case", USING)
def test_an_enqueue_option_that_makes_no_sense_is_refused(app: App, case: str) -> None:
    options, told = USING[case]
    with pytest.raises(BadOption, match=told) as refused:
        app.task(greet).using(**options)

    assert refused.value.option in options


ENQUEUE: dict[str, tuple[tuple[Any, ...], dict[str, Any], type[WindlassError], str]] = {
    "a wrong type": ((7,), {}, BadArguments, "argument 'to'"),
    "one too few": ((), {}, BadArguments, "argument 'to'"),
    "one too many": (("a", 1, 2), {}, BadArguments, "too many"),
    "an unknown name": (("a",), {"cuont": 2}, BadArguments, "argument 'cuont'"),
    "one given twice": (("a",), {"to": "b"}, BadArguments, "argument 'to'"),
    "no place in a payload": ((object(),), {}, NotEncodable, "argument 'to'"),
    "half a surrogate pair": (("\ud800",), {}, NotEncodable, "argument 'to'"),
    "a number too long": (("a", 10**5000), {}, NotEncodable, "argument 'count'"),
    "too much": (("a" * 300_000,), {}, PayloadTooLarge, "the limit of 262,144"),
}


@pytest.mark.parametrize("case", ENQUEUE)
def test_a_call_that_cannot_be_kept_is_refused_and_nothing_is_stored(app: App, case: str) -> None:
    args, kwargs, kind, told = ENQUEUE[case]
    task = app.task(greet)
    enqueue: Callable[..., Any] = task.enqueue
    with pytest.raises(kind, match=told):
        enqueue(*args, **kwargs)
    with pytest.raises(kind, match=told):
        app.enqueue_many([task.prepare("fine"), task.prepare(*args, **kwargs)])

    assert app.blocking(lambda client: client.jobs()) == []
    app.close()


DEFINE: dict[str, tuple[dict[str, Any], type[WindlassError], str]] = {
    "an unknown option": ({"rerty": 3}, BadOption, "did you mean 'retry'?"),
    "a priority out of range": ({"priority": 1000}, BadOption, "from -100 to 100"),
    "a negative timeout": ({"timeout": -1}, BadOption, "must be zero or more"),
    "a timeout on a thread": ({"timeout": 1}, BadTask, 'add isolation="process"'),
    "an isolation that is none": ({"isolation": "moon"}, BadTask, 'use "process"'),
    "a name of nothing": ({"name": " "}, BadOption, "must be printable"),
    "an empty queue": ({"queue": ""}, BadOption, "must be a text"),
    "a number for a policy": ({"retry": 3}, BadOption, "retry = 3: must be a Retry"),
}


@pytest.mark.parametrize("case", DEFINE)
def test_a_task_that_makes_no_sense_is_refused_at_its_definition(app: App, case: str) -> None:
    options, kind, told = DEFINE[case]
    with pytest.raises(kind, match=told):
        app.task(**options)(greet)


def test_two_tasks_of_one_name_are_refused(app: App) -> None:
    app.task(greet)
    with pytest.raises(BadTask, match="already registered; pass name"):
        app.task(greet)


def test_a_task_is_looked_up_by_its_name(app: App) -> None:
    task = app.task(name="greet", retry=Retry(2))(greet)

    assert app.task_named("greet") is task
    with pytest.raises(TaskNotFound, match="did you mean 'greet'"):
        app.task_named("great")


@pytest.mark.parametrize("requests", [[1], ["job"], [None]])
def test_what_is_no_request_is_refused_whole(app: App, requests: list[Any]) -> None:
    task = app.task(greet)
    with pytest.raises(BadOption, match="made by task"):
        app.enqueue_many([task.prepare("fine"), *requests])

    assert app.blocking(lambda client: client.jobs()) == []
    app.close()


@pytest.mark.parametrize("timeout", [-1, math.nan, "1"])
def test_a_wait_of_no_time_is_refused(app: App, timeout: Any) -> None:
    job = app.task(greet).enqueue("a")
    with pytest.raises(BadOption, match="timeout"):
        job.result(timeout)
    app.close()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://[::1", "Invalid IPv6 URL"),
        ("windlass.db", "it has no scheme"),
        ("mysql://localhost/jobs", "no store is known for the scheme 'mysql'"),
        ("sqlite://", "it names no file"),
        ("sqlite:///:memory:", "would forget its jobs"),
        ("sqlite:///no/such/folder/jobs.db", "there is no folder"),
        ("postgresql://ann:secret@[::1", "Invalid IPv6 URL"),
        ("postgresql://ann:secret@localhost:port/jobs", "port"),
    ],
)
def test_a_store_url_that_leads_nowhere_is_refused_without_its_password(
    url: str, told: str
) -> None:
    with pytest.raises(BadStoreUrl) as refused:
        App(url).task(greet).enqueue("a")

    assert told in str(refused.value)
    assert "secret" not in str(refused.value)
