"""What is stored of a result, and for how long, on both stores."""

from datetime import timedelta
from typing import Any

import pytest

from tests.app.live import WAIT_S, ended, quick_app, until, working
from windlass import App, BadOption, JobFailed, ResultExpired, Retry


async def test_a_result_that_is_not_stored_is_none_for_who_waits(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task(store_result=False)
    async def fire() -> Any:
        return object()  # nothing could encode this: nothing tries to

    @app.task(store_result=False)
    def plain() -> str:
        return "x" * 1_000_000

    async with working(app):
        for task in (fire, plain):
            job = await task.aenqueue()
            assert await job.aresult(WAIT_S) is None
            assert (await job.ajob()).result is None


async def test_errors_are_kept_also_where_results_are_not(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task(store_result=False)
    async def fails() -> None:
        raise ValueError("wrong")

    async with working(app):
        with pytest.raises(JobFailed, match="wrong"):
            await (await fails.aenqueue()).aresult(WAIT_S)


async def test_who_comes_too_late_for_a_result_is_told_so(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task(result_ttl=0.1)
    async def seven() -> int:
        return 7

    @app.task(result_ttl=timedelta(seconds=0.1))
    async def nothing() -> None:
        return None

    @app.task(result_ttl=timedelta(hours=1))
    async def eight() -> int:
        return 8

    async with working(app):
        jobs = [await ended(await task.aenqueue()) for task in (seven, nothing, eight)]
    async with working(app):  # its first look for late results is at its start
        gone = await until(jobs[0], lambda job: job.result is None)
        with pytest.raises(ResultExpired, match="its result was only kept until 20") as told:
            await jobs[0].aresult(WAIT_S)
        with pytest.raises(ResultExpired):
            await app.agather([jobs[0]], WAIT_S)

        assert told.value.job_id == jobs[0].id
        assert gone.result_until is not None
        assert gone.ended_at is not None
        assert (gone.result_until - gone.ended_at).total_seconds() == pytest.approx(0.1)
        assert await jobs[1].aresult(WAIT_S) is None
        assert await jobs[2].aresult(WAIT_S) == 8


async def test_a_job_that_waits_for_an_expired_result_fails_and_says_why(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task(result_ttl=0.1)
    async def seven() -> int:
        return 7

    @app.task(retry=Retry(5, delay=0.01))
    async def double(n: int) -> int:
        return n * 2

    async with working(app):
        job = await ended(await seven.aenqueue())
    async with working(app):
        await until(job, lambda found: found.result is None)
        later = await job.athen(double.bind())
        with pytest.raises(JobFailed, match="its result was only kept until"):
            await later.aresult(WAIT_S)

        assert (await later.ajob()).attempt == 1


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"result_ttl": 0}, "result_ttl"),
        ({"result_ttl": -1}, "result_ttl"),
        ({"result_ttl": "1h"}, "result_ttl"),
        ({"result_ttl": 1e12}, "result_ttl"),
        ({"result_ttl": 5, "store_result": False}, "result_ttl"),
        ({"store_result": None}, "store_result"),
    ],
)
def test_options_that_cannot_be_kept_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(BadOption, match=named):
        App("sqlite:///never-opened.db").task(**options)(lambda: None)
