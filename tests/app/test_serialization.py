"""Formats, fingerprints, upcasters and pickles, through both stores (I30, S2, S3)."""

import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from tests.app.live import WAIT_S, ended, quick_app, until, working
from windlass import App, JobFailed, Retry, Router, State
from windlass.errors import BadOption, BadResult, PickleRefused, UnknownSerializer
from windlass.handles import JobHandle
from windlass.model.jobs import JobRequest

KEY = "a key of enough characters, truly random"


@dataclass
class Line:
    article: str
    count: int


class Backwards:
    """A serializer of a user's own."""

    name = "backwards"

    def dumps(self, value: Any) -> bytes:
        return msgspec.json.encode(value)[::-1]

    def loads(self, data: bytes) -> Any:
        return msgspec.json.decode(data[::-1])


def make_app(store_url: str, **settings: Any) -> App:
    app = quick_app(store_url, **settings)
    app.add_serializer(Backwards())
    return app


# -- formats -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["json", "msgpack", "backwards"])
async def test_a_job_travels_in_the_format_of_its_app(store_url: str, name: str) -> None:
    app = make_app(store_url, serializer=name)

    @app.task
    async def order(line: Line, at: datetime) -> Line:
        return Line(f"{line.article} {at.year}", line.count + 1)

    async with working(app):
        job = await order.aenqueue(Line("tea", 2), datetime(2030, 1, 1, tzinfo=UTC))

        assert await job.aresult(WAIT_S) == Line("tea 2030", 3)
        stored = await job.ajob()
    marks = {"json": b"{", "msgpack": b"\0msgpack\0", "backwards": b"\0backwards\0"}
    assert stored.payload.startswith(marks[name])
    assert stored.result is not None
    assert stored.result.startswith(marks[name])


async def test_a_task_may_have_a_format_of_its_own_and_a_worker_reads_what_comes(
    store_url: str,
) -> None:
    sender, worker = make_app(store_url, serializer="msgpack"), make_app(store_url)

    def define(app: App, own: str | None) -> Any:
        @app.task(name="add", serializer=own)
        async def add(line: Line) -> int:
            return line.count

        return add

    define(worker, None)
    tasks = define(sender, None), define(make_app(store_url), "backwards")
    async with working(worker):
        jobs = [await task.aenqueue(Line("tea", n)) for n, task in enumerate(tasks)]
        for job in jobs:
            await ended(job)

        assert [await job.aresult(WAIT_S) for job in jobs] == [0, 1]
        heads = [(await job.ajob()).payload[:6] for job in jobs]
    assert heads == [b"\0msgpa", b"\0backw"]
    await sender.aclose()
    await tasks[1]._app.aclose()


async def test_a_task_of_a_router_takes_the_format_of_the_app_that_includes_it(
    store_url: str,
) -> None:
    router = Router()

    @router.task
    async def double(n: int) -> int:
        return 2 * n

    early = double.using(priority=3)
    app = make_app(store_url, serializer="msgpack")
    app.include(router)
    async with working(app):
        jobs = [await task.aenqueue(4) for task in (double, early)]

        assert [await job.aresult(WAIT_S) for job in jobs] == [8, 8]
        assert {(await job.ajob()).payload[:9] for job in jobs} == {b"\0msgpack\0"}


async def test_a_result_of_a_task_unknown_here_is_plain_data_in_any_format(store_url: str) -> None:
    app = make_app(store_url, serializer="backwards")

    @app.task(name="lines")
    async def lines() -> list[Line]:
        return [Line("tea", 1)]

    async with working(app):
        job = await lines.aenqueue()
        await ended(job)
        stranger: JobHandle[Any] = JobHandle(make_app(store_url), job.id, None)
        found = (await (await app.client()).wait([job.id]))[job.id]

        assert stranger.value_of(found) == [{"article": "tea", "count": 1}]
        with pytest.raises(BadResult):
            stranger.value_of(msgspec.structs.replace(found, result=b"{"))


async def test_a_payload_of_an_unknown_format_fails_its_job_at_once_and_blocks_nobody(
    store_url: str,
) -> None:
    app = make_app(store_url)

    @app.task(name="count", retry=Retry(5, delay=0))
    async def count(n: int) -> int:
        return n

    broken = (b"\0yaml\0n: 1", b"\0", b"\0msgpack\0\xc1", b"\0backwards\0x", b"\0pickle\0x", b"")
    requests = [
        JobRequest(id=app.new_job_id(), task="count", queue="default", payload=payload)
        for payload in broken
    ]
    async with working(app):
        bad = await app.aenqueue_many(requests)
        good = await count.aenqueue(7)

        assert await good.aresult(WAIT_S) == 7
        found = [await until(job, lambda j: j.ended_at is not None) for job in bad]
        assert [(job.state, job.attempt) for job in found] == [(State.FAILED, 1)] * len(broken)
        assert [str(job.error_type).rpartition(".")[2] for job in found] == [
            "UnknownSerializer",
            "BadArguments",
            "BadArguments",
            "BadArguments",
            "PickleRefused",
            "BadArguments",
        ]


def test_a_format_that_the_app_does_not_know_is_refused_with_the_task(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/x.db"
    with pytest.raises(UnknownSerializer):
        quick_app(store).task(serializer="backwards")(print_it)
    with pytest.raises(UnknownSerializer):
        quick_app(store, serializer="backwards").task(print_it)
    with pytest.raises(BadOption, match="must be the name of one"):
        quick_app(store).task(serializer=Backwards())(print_it)  # type: ignore[call-overload]
    with pytest.raises(BadOption, match="there is one named 'backwards'"):
        make_app(store).add_serializer(Backwards())


def print_it(n: int) -> None:
    print(n)


# -- fingerprints and upcasters ----------------------------------------------


async def test_a_job_keeps_the_fingerprint_of_its_code_and_so_does_its_retry(
    store_url: str,
) -> None:
    app = make_app(store_url)

    @app.task
    async def fail(n: int) -> None:
        raise ValueError(n)

    async with working(app):
        jobs = [
            await fail.aenqueue(1),
            await fail.using(unique_key="k").aenqueue(2),
            await fail.using(expires=60).aenqueue(3),
            *await app.aenqueue_many([fail.prepare(4), fail.prepare(5)]),
        ]
        await ended(jobs[0])
        again = await (await app.client()).retry(jobs[0].id, app.new_job_id())
        kept = {(await job.ajob()).fingerprint for job in jobs}
        kept.add((await (await app.client()).get(again)).fingerprint)

        assert kept == {fail.spec.signature.fingerprint}


OLD_FORMATS = ["json", "msgpack", "backwards", "pickle"]


@pytest.mark.parametrize("name", OLD_FORMATS)
async def test_payloads_of_old_code_are_upcast_in_the_order_registered(
    store_url: str, name: str
) -> None:
    old, new = (make_app(store_url, pickle_key=KEY) for _ in range(2))

    @old.task(name="bill", serializer=name)
    async def bill_as_it_was(customer: str, cents: int) -> None: ...

    @new.task(name="bill", serializer=name)
    async def bill(customer: dict[str, str], euros: float) -> str:
        return f"{customer['name']} {euros}"

    @bill.upcaster
    def name_the_customer(arguments: dict[str, Any]) -> dict[str, Any]:
        if isinstance(arguments["customer"], str):
            arguments["customer"] = {"name": arguments["customer"]}
        return arguments

    @bill.upcaster
    def count_in_euros(arguments: dict[str, Any]) -> dict[str, Any]:
        if "cents" in arguments:
            arguments["euros"] = arguments.pop("cents") / 100
        return {**arguments, "customer": {"name": arguments["customer"]["name"].title()}}

    async with working(new):
        requests = [bill_as_it_was.prepare("ann", 150), bill.prepare({"name": "bob"}, 2.5)]
        jobs = await new.aenqueue_many(requests)

        # The second is of this very code, so no upcaster has touched it.
        assert [await job.aresult(WAIT_S) for job in jobs] == ["Ann 1.5", "bob 2.5"]


async def test_without_a_fingerprint_upcasters_run_and_the_same_fingerprint_spares_them(
    store_url: str,
) -> None:
    app = make_app(store_url)
    seen = []

    @app.task(name="count")
    async def count(n: int) -> int:
        return n

    @count.upcaster
    def watch(arguments: dict[str, Any]) -> dict[str, Any]:
        seen.append(arguments)
        return {"n": arguments.get("n", -1)}

    mine = count.spec.signature.fingerprint
    payloads = [(b'{"n":1}', mine), (b'{"n":2}', mine ^ 1), (b'{"n":3}', None), (b'{"m":4}', mine)]
    requests = [
        JobRequest(id=app.new_job_id(), task="count", queue="default", payload=p, fingerprint=f)
        for p, f in payloads
    ]
    async with working(app, concurrency=1):
        jobs = await app.aenqueue_many(requests)

        assert [await job.aresult(WAIT_S) for job in jobs] == [1, 2, 3, -1]
    assert seen == [{"n": 2}, {"n": 3}, {"m": 4}]


async def test_what_an_upcaster_raises_is_the_failure_of_the_attempt(store_url: str) -> None:
    app = make_app(store_url)

    @app.task(name="count", retry=Retry(2, delay=0))
    async def count(n: int) -> int:
        return n

    @count.upcaster
    def broken(arguments: dict[str, Any]) -> dict[str, Any]:
        return {"n": arguments["number"]}

    request = JobRequest(
        id=app.new_job_id(), task="count", queue="default", payload=b'{"x":1}', fingerprint=1
    )
    async with working(app):
        [job] = await app.aenqueue_many([request])
        with pytest.raises(JobFailed) as caught:
            await job.aresult(WAIT_S)

        assert caught.value.error_type == "KeyError"
        assert "in broken" in caught.value.traceback
        assert (await job.ajob()).attempt == 2


@pytest.mark.parametrize(
    ("payload", "told"),
    [(b"[]", "no object of names"), (b"{}", "returned a list"), (b"{", "truncated")],
)
async def test_what_is_upcast_must_be_names_and_values(
    store_url: str, payload: bytes, told: str
) -> None:
    app = make_app(store_url)

    @app.task(name="count")
    async def count(n: int) -> int:
        return n

    count.upcaster(list)  # type: ignore[type-var]  # wrong on purpose
    request = JobRequest(id=app.new_job_id(), task="count", queue="default", payload=payload)
    async with working(app):
        [job] = await app.aenqueue_many([request])
        with pytest.raises(JobFailed, match=told):
            await job.aresult(WAIT_S)


def test_an_upcaster_must_be_a_plain_function(tmp_path: Path) -> None:
    task = quick_app(f"sqlite:///{tmp_path}/x.db").task(print_it)

    async def waits(arguments: dict[str, Any]) -> dict[str, Any]:
        return arguments

    for wrong in (waits, None):
        with pytest.raises(BadOption, match="plain function"):
            task.upcaster(wrong)  # type: ignore[type-var]


# -- pickle ------------------------------------------------------------------


class Opaque:
    """What only a pickle carries."""

    def __init__(self, inside: int) -> None:
        self.inside = inside


async def test_a_pickled_job_runs_where_both_sides_have_said_so(store_url: str) -> None:
    app = make_app(store_url, pickle_key=KEY)

    @app.task(name="look", serializer="pickle")
    async def look(at: Opaque) -> Opaque:
        return Opaque(at.inside + 1)

    async with working(app):
        job = await look.aenqueue(Opaque(6))

        assert (await job.aresult(WAIT_S)).inside == 7
        stored = await job.ajob()
    assert stored.payload.startswith(b"\0pickle\0")
    with pytest.raises(PickleRefused):
        app.formats.decode_plain(stored.result)


@pytest.mark.parametrize(
    ("settings", "own"),
    [({}, "pickle"), ({"pickle_key": "another " * 9}, "pickle"), ({"pickle_key": KEY}, None)],
)
async def test_a_worker_that_lacks_the_key_or_the_opt_in_refuses_the_job(
    store_url: str, settings: dict[str, Any], own: str | None
) -> None:
    sender, worker = make_app(store_url, pickle_key=KEY), make_app(store_url, **settings)

    @sender.task(name="look", serializer="pickle")
    async def look(at: Any) -> Any: ...

    @worker.task(name="look", serializer=own, retry=Retry(4, delay=0))
    async def look_there(at: Any) -> Any:
        raise AssertionError("it must not run")

    async with working(worker):
        job = await look.aenqueue({"a": 1})
        with pytest.raises(JobFailed, match="PickleRefused"):
            await job.aresult(WAIT_S)

        assert (await job.ajob()).attempt == 1
    await sender.aclose()


def test_without_a_key_a_pickled_enqueue_is_refused(tmp_path: Path) -> None:
    task = quick_app(f"sqlite:///{tmp_path}/x.db").task(serializer="pickle")(print_it)
    with pytest.raises(PickleRefused, match="no setting pickle_key"):
        task.enqueue(1)


ISOLATED = """
import os
from windlass import App

app = App("sqlite:///never-opened.db", lease_s=2.0, renew_s=0.2, poll_interval_s=0.1)


class Opaque:
    def __init__(self, inside):
        self.inside = inside


@app.task(name="isolated", serializer="pickle", isolation="process", timeout=60)
def isolated(at: Opaque, key: str) -> Opaque:
    from windlass import context  # the child has the worker's format, and none of its secrets
    secrets = [app.settings.pickle_key, *os.environ.values()]
    assert key not in secrets, secrets
    return Opaque(at.inside + 1)


@app.task(name="format", isolation="process")
def format_of_the_result() -> list[int]:
    return [1, 2]
"""


@pytest.fixture
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module whose app has its key and its format from the environment."""
    (tmp_path / "isolated_app.py").write_text(ISOLATED)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("WINDLASS_PICKLE_KEY", KEY)
    monkeypatch.setenv("WINDLASS_SERIALIZER", "msgpack")
    yield importlib.import_module("isolated_app")
    sys.modules.pop("isolated_app")


async def test_a_child_process_unpickles_though_the_key_stays_with_its_worker(
    store_url: str, isolated: ModuleType
) -> None:
    app: App = isolated.app
    app.use_store(store_url)
    async with working(app, target="isolated_app:app"):
        job = await isolated.isolated.aenqueue(isolated.Opaque(6), KEY)
        other = await isolated.format_of_the_result.aenqueue()
        forged = JobRequest(
            id=app.new_job_id(), task="isolated", queue="default", payload=b"\0pickle\0" + b"x" * 40
        )
        [refused] = await app.aenqueue_many([forged])

        assert (await job.aresult(60)).inside == 7
        assert await other.aresult(60) == [1, 2]
        assert ((await other.ajob()).result or b"").startswith(b"\0msgpack\0")
        with pytest.raises(JobFailed, match="PickleRefused"):
            await refused.aresult(60)
