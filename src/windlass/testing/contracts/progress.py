"""What ``report_progress`` and ``progress`` promise: only the holder is believed (I7)."""

from windlass.model.jobs import Claim, State
from windlass.model.progress import ProgressReport
from windlass.testing.contracts.world import (
    ALICE,
    BOB,
    StoreWorld,
    begin,
    claim_all,
    lose,
    make_request,
    make_requests,
    move,
    nth_id,
    opened,
    row,
)


def report(claim: Claim, fraction: float, message: str = "") -> ProgressReport:
    """Return what an attempt says."""
    return ProgressReport(claim.job_id, claim.fence, fraction, message)


class ProgressContract:
    """What every store promises of progress."""

    async def test_the_newest_progress_of_each_job_is_kept(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            first, second, _ = await begin(store, *make_requests(3))
            said = [report(first, 0.25, "a quarter"), report(second, 1, "¼ ≠ 1")]
            assert await store.report_progress(said) == [True, True]
            assert await store.report_progress([report(first, 0.5, "half")]) == [True]
            found = await store.progress([nth_id(n) for n in (1, 2, 3, 99)])

            assert {i: (p.fraction, p.message) for i, p in found.items()} == {
                nth_id(1): (0.5, "half"),
                nth_id(2): (1.0, "¼ ≠ 1"),
            }

    async def test_it_says_when_the_store_learned_of_it(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            await store.report_progress([report(claim, 0.5)])
            progress = (await store.progress([claim.job_id]))[claim.job_id]
            job = await row(store, claim.job_id)

            assert job.started_at is not None
            assert 0 <= (progress.at - job.started_at).total_seconds() < 60

    async def test_a_stale_holder_is_refused(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [stale] = await begin(store, make_request())
            await lose(store, ALICE)
            assert await store.report_progress([report(stale, 0.9, "late")]) == [False]
            [fresh] = await claim_all(store, worker=BOB)
            assert await store.report_progress([report(fresh, 0.1, "again")]) == [True]
            assert await store.report_progress([report(stale, 0.9, "late")]) == [False]
            found = await store.progress([fresh.job_id])

            assert found[fresh.job_id].message == "again"

    async def test_each_report_of_a_batch_is_judged_for_itself(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            claims = await begin(store, *make_requests(4))
            await store.settle([move(claims[1], State.SUCCEEDED), move(claims[2], State.QUEUED)])
            said = [report(claim, n / 4) for n, claim in enumerate(claims)]
            answer = await store.report_progress([said[3], said[2], said[1], said[0]])

            assert answer == [True, False, False, True]
            assert set(await store.progress([nth_id(n) for n in range(1, 5)])) == {
                nth_id(1),
                nth_id(4),
            }

    async def test_two_holders_of_one_job_in_one_batch(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [stale] = await begin(store, make_request())
            await lose(store, ALICE)
            [fresh] = await claim_all(store, worker=BOB)

            assert await store.report_progress([report(stale, 0.9), report(fresh, 0.1)]) == [
                False,
                True,
            ]

    async def test_nothing_changes_in_the_job(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            before = await row(store, claim.job_id)
            await store.report_progress([report(claim, 0.5)])

            assert await row(store, claim.job_id) == before

    async def test_it_stays_after_the_end_and_goes_with_the_job(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            claims = await begin(store, *make_requests(2))
            await store.report_progress([report(claim, 0.5) for claim in claims])
            await store.settle([move(claim, State.SUCCEEDED) for claim in claims])
            ids = [nth_id(1), nth_id(2)]
            assert set(await store.progress(ids)) == set(ids)
            assert await store.delete([nth_id(1)]) == 1
            assert set(await store.progress(ids)) == {nth_id(2)}
            await world.advance(60)
            assert await store.prune(30, 10) == 1

            assert await store.progress(ids) == {}

    async def test_nobody_says_nothing(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            assert await store.report_progress([]) == []
            assert await store.progress([]) == {}
