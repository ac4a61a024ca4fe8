"""Results too large for a row: kept among the blobs, by reference, on both stores."""

import asyncio
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.app.live import WAIT_S, ended, quick_app, running, until, working
from tests.app.test_blocking import worker_thread
from windlass import (
    App,
    JobFailed,
    JobNotFound,
    ResultExpired,
    Retry,
    State,
    chain,
    chord,
    continue_as,
)
from windlass.core.references import is_reference
from windlass.engine.blob_upkeep import BlobUpkeep
from windlass.engine.large_results import LargeResults
from windlass.engine.watchdog import Watchdog
from windlass.errors import BlobsUnavailable, LargeResultLost, LargeResultsOff
from windlass.model.jobs import JobFilter
from windlass.plugins import make_large_results

LARGE = 300_000


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder that is not there yet."""
    return tmp_path / "large results"


def large_app(store_url: str, place: Path, **settings: Any) -> App:
    app = quick_app(store_url, **{"large_results": place.as_uri(), **settings})

    @app.task(name="text")
    async def text(size: int) -> str:
        return "x" * size

    @app.task(name="plain")
    def plain(size: int) -> str:
        return "y" * size

    @app.task(name="length")
    async def length(text: str) -> int:
        return len(text)

    @app.task(name="lengths")
    async def lengths(texts: list[str]) -> list[int]:
        return [len(text) for text in texts]

    return app


def blobs_in(place: Path) -> list[Path]:
    return sorted(path for path in place.rglob("*") if path.is_file())


async def look_of_upkeep(app: App) -> int:
    store = (await app.client())._store
    large = make_large_results(app.settings, store.url)
    assert large.blobs is not None
    return await BlobUpkeep(store, large.blobs, large.space, Watchdog().pulse("")).look()


# -- values ------------------------------------------------------------------


@pytest.mark.parametrize("task", ["text", "plain"])
async def test_a_large_result_comes_back_whole(task: str, store_url: str, place: Path) -> None:
    app = large_app(store_url, place)
    async with working(app):
        job = await app.task_named(task).aenqueue(LARGE)

        assert len(await job.aresult(WAIT_S)) == LARGE
        row = await job.ajob()
        assert is_reference(row.result)
        assert len(row.result or b"") < 150
        [blob] = blobs_in(place)
        assert blob.name == f"{job.id}.1"
        assert blob.stat().st_size == LARGE + 2


async def test_what_fits_into_its_row_stays_there(store_url: str, place: Path) -> None:
    app = large_app(store_url, place, payload_limit_bytes=1_000)
    async with working(app):
        exact, over = await app.aenqueue_many(
            [app.task_named("text").prepare(998), app.task_named("text").prepare(999)]
        )
        assert await app.agather([exact, over], WAIT_S) == ["x" * 998, "x" * 999]

        assert (await exact.ajob()).result == b'"' + b"x" * 998 + b'"'
        assert [blob.name for blob in blobs_in(place)] == [f"{over.id}.1"]


async def test_waiting_fetches_nothing(store_url: str, place: Path) -> None:
    app = large_app(store_url, place)
    text = app.task_named("text")
    async with working(app):
        jobs = [await ended(await text.aenqueue(LARGE)) for _ in range(2)]
        for blob in blobs_in(place):
            blob.unlink()

        assert {job.id async for job in app.aas_completed(jobs, WAIT_S)} == {j.id for j in jobs}
        assert len(await (await app.client()).wait([job.id for job in jobs])) == 2
        with pytest.raises(LargeResultLost):
            await jobs[0].aresult()


async def test_many_are_fetched_at_once_and_failures_come_first(
    store_url: str, place: Path
) -> None:
    app = large_app(store_url, place)
    text = app.task_named("text")

    @app.task
    async def fails() -> str:
        raise ValueError("wrong")

    async with working(app):
        jobs = await app.aenqueue_many([text.prepare(LARGE + n) for n in range(20)])
        small = await text.aenqueue(1)
        values = await app.agather([*jobs, small, jobs[0]], WAIT_S)
        assert [len(value) for value in values] == [*range(LARGE, LARGE + 20), 1, LARGE]
        bad = await fails.aenqueue()
        with pytest.raises(JobFailed, match="wrong"):
            await app.agather([*jobs, bad], WAIT_S)


def test_the_blocking_face(store_url: str, place: Path) -> None:
    app = large_app(store_url, place)
    text = app.task_named("text")
    with worker_thread(app):
        jobs = [text.enqueue(LARGE) for _ in range(2)]

        assert len(jobs[0].result(WAIT_S)) == LARGE
        assert [len(value) for value in app.gather(jobs, WAIT_S)] == [LARGE, LARGE]
        assert len(app.job(jobs[1].id).result(WAIT_S)) == LARGE
    app.close()


async def test_other_formats_are_kept_as_they_are(store_url: str, place: Path) -> None:
    app = quick_app(store_url, large_results=place.as_uri(), pickle_key="k" * 32)

    @app.task(serializer="msgpack")
    async def packed() -> bytes:
        return b"\0" * LARGE

    @app.task(serializer="pickle")
    async def pickled() -> set[int]:
        return set(range(LARGE))

    async with working(app):
        assert await (await packed.aenqueue()).aresult(WAIT_S) == b"\0" * LARGE
        assert await (await pickled.aenqueue()).aresult(WAIT_S) == set(range(LARGE))
        assert len(blobs_in(place)) == 2


ISOLATED = """
from windlass import App

app = App()


@app.task(name="isolated", isolation="process")
def isolated(size: int) -> str:
    import os
    assert not any(name.startswith("WINDLASS_") for name in os.environ)
    return "x" * size
"""


@pytest.fixture
def isolated(tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module whose app has the setting from the environment, which children do not get."""
    (tmp_path / "large_app.py").write_text(ISOLATED)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("WINDLASS_LARGE_RESULTS", place.as_uri())
    monkeypatch.setenv("WINDLASS_LARGE_RESULT_LIMIT_BYTES", "2000000")
    yield importlib.import_module("large_app")
    sys.modules.pop("large_app")


async def test_a_child_process_returns_as_much_and_knows_no_place(
    store_url: str, place: Path, isolated: ModuleType
) -> None:
    app: App = isolated.app
    app.use_store(store_url)
    async with working(app, target="large_app:app"):
        job = await isolated.isolated.aenqueue(1_500_000)
        assert len(await job.aresult(60)) == 1_500_000
        too_large = await isolated.isolated.aenqueue(2_000_000)
        with pytest.raises(JobFailed, match="over the limit of 2,000,000"):
            await too_large.aresult(60)

        assert [blob.name for blob in blobs_in(place)] == [f"{job.id}.1"]


# -- other jobs --------------------------------------------------------------


async def test_jobs_that_wait_for_others_are_given_large_results(
    store_url: str, place: Path
) -> None:
    app = large_app(store_url, place)
    text, length, lengths = map(app.task_named, ("text", "length", "lengths"))
    async with working(app):
        one = chain(text.bind(LARGE), length.bind())
        assert await (await one.aenqueue()).aresult(WAIT_S) == LARGE
        call = chord([text.bind(LARGE), text.bind(1), text.bind(LARGE + 1)], lengths.bind())

        assert await (await call.aenqueue()).aresult(WAIT_S) == [LARGE, 1, LARGE + 1]


async def test_a_job_that_is_handed_on_has_a_large_result_of_its_own(
    store_url: str, place: Path
) -> None:
    app = large_app(store_url, place)
    text = app.task_named("text")

    @app.task
    async def begins(size: int) -> Any:
        return continue_as(text.bind(size))

    async with working(app):
        job = await begins.aenqueue(LARGE)

        assert len(await job.aresult(WAIT_S)) == LARGE
        assert len(blobs_in(place)) == 2
        assert f"{job.id}.2" in {blob.name for blob in blobs_in(place)}


async def test_a_job_that_is_given_a_lost_result_fails_at_once_and_says_why(
    store_url: str, place: Path
) -> None:
    app = large_app(store_url, place)

    @app.task(retry=Retry(5, delay=0.01))
    async def again(text: str) -> int:
        return len(text)

    async with working(app):
        job = await ended(await app.task_named("text").aenqueue(LARGE))
        blobs_in(place)[0].unlink()
        later = await job.athen(again.bind())
        with pytest.raises(JobFailed, match="there is no such blob"):
            await later.aresult(WAIT_S)

        assert (await later.ajob()).attempt == 1


# -- what goes wrong ---------------------------------------------------------


async def test_without_the_setting_the_error_names_the_way_out(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task
    async def text() -> str:
        return "x" * LARGE

    async with working(app):
        with pytest.raises(JobFailed, match="once the setting large_results says where"):
            await (await text.aenqueue()).aresult(WAIT_S)


async def test_above_the_larger_limit_the_job_fails(store_url: str, place: Path) -> None:
    app = large_app(store_url, place, large_result_limit_bytes=LARGE)
    async with working(app):
        job = await app.task_named("text").aenqueue(LARGE)
        with pytest.raises(JobFailed, match="over the limit of 300,000"):
            await job.aresult(WAIT_S)

        assert blobs_in(place) == []


async def test_a_process_without_the_setting_is_told_so(store_url: str, place: Path) -> None:
    app = large_app(store_url, place)
    other = large_app(store_url, place, large_results="")
    async with working(app):
        job = await ended(await app.task_named("text").aenqueue(LARGE))
    async with working(other):
        theirs = await other.task_named("length").aenqueue("x")
        assert await theirs.aresult(WAIT_S) == 1
        handle = type(job)(other, job.id, None)
        with pytest.raises(LargeResultsOff, match="has no setting large_results"):
            await handle.aresult(WAIT_S)
        with pytest.raises(LargeResultsOff):
            await other.agather([handle], WAIT_S)
        later = await handle.athen(other.task_named("length").bind())
        with pytest.raises(JobFailed, match="has no setting large_results"):
            await later.aresult(WAIT_S)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda blob: blob.unlink(), "there is no such blob"),
        (lambda blob: blob.write_bytes(b"short"), "has not the 300,002 bytes"),
        (lambda blob: blob.write_bytes(b"z" * 9_000_000), "has not the 300,002 bytes"),
        (lambda blob: blob.write_bytes(b'"' + b"z" * LARGE + b'"'), r"\(SHA-256\)"),
    ],
)
async def test_a_result_that_is_not_what_was_put_there_is_refused(
    damage: Any, why: str, store_url: str, place: Path
) -> None:
    app = large_app(store_url, place)
    async with working(app):
        job = await ended(await app.task_named("text").aenqueue(LARGE))
        damage(blobs_in(place)[0])
        with pytest.raises(LargeResultLost, match=why) as told:
            await job.aresult(WAIT_S)

        assert told.value.job_id == job.id
        assert f"{job.id}.1" in told.value.place
        assert "enqueue the job again" in str(told.value)


async def test_i33_an_outage_of_the_blobs_burns_no_attempt_and_loses_nothing(
    store_url: str, place: Path
) -> None:
    place.write_text("in the way")
    app = large_app(store_url, place)
    text, length = app.task_named("text"), app.task_named("length")
    async with working(app, concurrency=2) as worker:
        jobs = [await text.aenqueue(LARGE) for _ in range(3)]
        await asyncio.sleep(1.5)
        waiting = [(await job.ajob()).state for job in jobs]
        assert worker.running == 2  # they hold their slots
        place.unlink()
        values = await app.agather(jobs, 5)
        row = await jobs[0].ajob()

        assert waiting == [State.RUNNING, State.RUNNING, State.QUEUED]
        assert [len(value) for value in values] == [LARGE] * 3
        assert (row.attempt, row.failures, row.losses) == (1, 0, 0)

        moved = place.rename(place.with_name("away"))  # and what others give waits as well
        place.write_text("in the way")
        later = await jobs[0].athen(length.bind())
        await running(later)
        with pytest.raises(BlobsUnavailable):
            await jobs[0].aresult(WAIT_S)
        place.unlink()
        moved.rename(place)

        assert await later.aresult(WAIT_S) == LARGE
        assert (await later.ajob()).attempt == 1


async def test_a_job_whose_result_waits_can_be_cancelled(store_url: str, place: Path) -> None:
    place.write_text("in the way")
    app = large_app(store_url, place)
    async with working(app) as worker:
        job = await app.task_named("text").aenqueue(LARGE)
        await running(job)
        await asyncio.sleep(0.2)
        await job.acancel()

        assert (await until(job, lambda row: row.ended_at is not None)).state is State.CANCELLED
        assert worker.running == 0


async def test_a_worker_that_stops_in_an_outage_gives_the_job_back(
    store_url: str, place: Path
) -> None:
    place.write_text("in the way")
    app = large_app(store_url, place)
    async with working(app):
        job = await app.task_named("text").aenqueue(LARGE)
        await running(job)
        await asyncio.sleep(0.2)
    row = await job.ajob()
    assert (row.state, row.failures, row.losses) == (State.QUEUED, 0, 0)
    place.unlink()
    async with working(app):
        assert len(await job.aresult(WAIT_S)) == LARGE
        assert (await job.ajob()).attempt == 2


# -- upkeep ------------------------------------------------------------------


async def test_upkeep_deletes_what_is_not_needed_and_nothing_else(
    store_url: str, place: Path
) -> None:
    app = large_app(store_url, place)
    text = app.task_named("text")

    @app.task(result_ttl=0.1)
    async def brief() -> str:
        return "x" * LARGE

    async with working(app):
        kept, purged = [await ended(await text.aenqueue(LARGE)) for _ in range(2)]
        expired = await ended(await brief.aenqueue())
        [space] = place.iterdir()
        (space / f"{kept.id}.7").write_bytes(b"of a newer attempt, which there cannot be")
        (space / "notes.txt").write_bytes(b"somebody's own")
        (place / "0123456789abcdef").mkdir()
        (place / "0123456789abcdef" / f"{app.new_job_id()}.1").write_bytes(b"another store's")
        before = await (await app.client()).jobs(JobFilter())
        assert await look_of_upkeep(app) == 1
    async with working(app):  # its first look for late results is at its start
        await until(expired, lambda row: row.result is None)
        await (await app.client())._store.delete([purged.id])
        await look_of_upkeep(app)
        left = {blob.name for blob in blobs_in(space)}

        assert len(before) == 3
        assert left == {f"{kept.id}.1", "notes.txt"}
        assert len(blobs_in(place)) == 3
        assert len(await kept.aresult(WAIT_S)) == LARGE
        with pytest.raises(ResultExpired):
            await expired.aresult(WAIT_S)
        with pytest.raises(JobNotFound):
            await purged.aresult(WAIT_S)


async def test_upkeep_runs_beside_each_worker(store_url: str, place: Path) -> None:
    app = large_app(store_url, place)
    async with working(app):
        job = await ended(await app.task_named("text").aenqueue(LARGE))
        await (await app.client())._store.delete([job.id])
    async with working(app), asyncio.timeout(WAIT_S):
        while blobs_in(place):
            await asyncio.sleep(0.02)


async def test_upkeep_leaves_the_blob_of_an_attempt_that_has_not_settled(
    store_url: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = large_app(store_url, place)
    may_settle = asyncio.Event()
    put = LargeResults._put

    async def put_and_wait(self: LargeResults, *args: Any) -> None:
        await put(self, *args)
        await may_settle.wait()

    monkeypatch.setattr(LargeResults, "_put", put_and_wait)
    async with working(app):
        job = await app.task_named("text").aenqueue(LARGE)
        async with asyncio.timeout(WAIT_S):
            while not blobs_in(place):
                await asyncio.sleep(0.02)
        assert await look_of_upkeep(app) == 0
        may_settle.set()

        assert len(await job.aresult(WAIT_S)) == LARGE


async def test_who_is_overtaken_by_upkeep_is_told_what_became_of_the_result(
    store_url: str, place: Path
) -> None:
    app = large_app(store_url, place)

    @app.task(result_ttl=0.1)
    async def brief() -> str:
        return "x" * LARGE

    async with working(app):
        expired = await ended(await brief.aenqueue())
        purged = await ended(await app.task_named("text").aenqueue(LARGE))
        client = await app.client()
        seen = await client.wait([expired.id, purged.id])
    async with working(app):
        client = await app.client()
        await until(expired, lambda row: row.result is None)
        await client._store.delete([purged.id])
        assert is_reference(seen[expired.id].result)
        for blob in blobs_in(place):
            blob.unlink()

        assert (await client.whole(seen[expired.id])).expired_at is not None
        with pytest.raises(JobNotFound):
            await client.whole(seen[purged.id])


async def test_a_stale_attempt_leaves_nothing_for_ever(store_url: str, place: Path) -> None:
    app = large_app(store_url, place)
    async with working(app):
        job = await ended(await app.task_named("text").aenqueue(LARGE))
        [blob] = blobs_in(place)
        stale = blob.with_name(f"{job.id}.0")
        stale.write_bytes(b"x" * LARGE)
        assert await look_of_upkeep(app) == 1

        assert blobs_in(place) == [blob]
