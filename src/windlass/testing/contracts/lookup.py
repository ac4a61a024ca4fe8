"""What the reading methods, ``resolve``, ``migrate`` and ``close`` promise."""

import pytest

from windlass.core.lifecycle import encode_error
from windlass.model.jobs import (
    LIVE,
    Backlog,
    DeadLetters,
    Finished,
    JobFilter,
    JobId,
    Reason,
    State,
)
from windlass.model.outcomes import ErrorInfo, Failed, Succeeded
from windlass.testing.contracts.world import (
    BOOM,
    LOSSES_MAX,
    StoreWorld,
    begin,
    finish,
    make_request,
    make_requests,
    move,
    nth_id,
    opened,
    row,
)

OTHER = ErrorInfo(type="builtins.KeyError", message="'x'")


class LookupContract:
    """What every store promises about reading."""

    async def test_migrating_again_changes_nothing(self, world: StoreWorld) -> None:
        store = world.make_store()
        await store.migrate()
        again = await store.migrate()
        await store.close()

        assert again == []

    async def test_closing_again_changes_nothing(self, world: StoreWorld) -> None:
        store = world.make_store()
        await store.migrate()
        await store.open()
        await store.close()

        await store.close()

    async def test_a_store_that_was_never_opened_can_be_closed(self, world: StoreWorld) -> None:
        await world.make_store().close()

    async def test_jobs_outlive_the_store_object(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([make_request()])
            before = await row(store, nth_id(1))
        async with opened(world) as store:
            assert await row(store, nth_id(1)) == before

    async def test_the_url_names_the_store(self, world: StoreWorld) -> None:
        assert world.make_store().url

    async def test_an_unknown_job_is_none(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            assert await store.get(nth_id(1)) is None
            assert await store.events(nth_id(1)) == []

    # -- results -------------------------------------------------------------

    async def test_results_are_of_those_that_have_ended(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            claims = await begin(store, *make_requests(3))
            await finish(store, claims[0], Succeeded(b"7"))
            await finish(store, claims[1], Failed(BOOM))
            found = await store.results([*(nth_id(n) for n in (1, 2, 3)), nth_id(99)])

            assert found == {
                nth_id(1): Finished(nth_id(1), "shop.ship", State.SUCCEEDED, None, b"7", None),
                nth_id(2): Finished(
                    nth_id(2), "shop.ship", State.FAILED, Reason.ERROR, None, encode_error(BOOM)
                ),
            }

    async def test_results_of_nothing_are_nothing(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            assert await store.results([]) == {}

    # -- listing -------------------------------------------------------------

    async def test_jobs_are_listed_newest_first_and_paged(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue(make_requests(5))
            first = await store.jobs(JobFilter(), limit=2)
            second = await store.jobs(JobFilter(), limit=2, before=first[-1].id)
            third = await store.jobs(JobFilter(), limit=2, before=second[-1].id)

            assert [job.id for job in (*first, *second, *third)] == [
                nth_id(n) for n in (5, 4, 3, 2, 1)
            ]

    async def test_a_listed_job_is_the_job(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request(unique_key="k", expires_s=60))
            await finish(store, claim, Failed(BOOM))

            assert await store.jobs(JobFilter(), limit=9) == [await row(store, claim.job_id)]

    async def test_a_filter_narrows_by_each_of_its_fields(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            claims = await begin(
                store,
                make_request(1),
                make_request(2, task="shop.bill"),
                make_request(3, queue="mail"),
                make_request(4),
                make_request(5),
            )
            await finish(store, claims[0], Succeeded(None))
            await finish(store, claims[1], Failed(BOOM))
            await finish(store, claims[3], Failed(OTHER))
            await store.resolve([nth_id(4)], "operator")

            async def listed(where: JobFilter) -> list[int]:
                ids = [job.id for job in await store.jobs(where, limit=10)]
                return [n for n in range(1, 6) if nth_id(n) in ids]

            assert await listed(JobFilter()) == [1, 2, 3, 4, 5]
            assert await listed(JobFilter(states=(State.FAILED,))) == [2, 4]
            assert await listed(JobFilter(states=(State.SUCCEEDED, State.RUNNING))) == [1, 3, 5]
            assert await listed(JobFilter(states=())) == []
            assert await listed(JobFilter(task="shop.bill")) == [2]
            assert await listed(JobFilter(queue="mail")) == [3]
            assert await listed(JobFilter(error_type=OTHER.type)) == [4]
            assert await listed(JobFilter(unresolved=True)) == [2]
            assert await listed(JobFilter(task="shop.ship", states=(State.FAILED,))) == [4]

    async def test_jobs_are_listed_by_their_fingerprint_or_its_lack(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            said = [5, None, 0, 5]
            requests = [make_request(n, fingerprint=each) for n, each in enumerate(said, 1)]
            await store.enqueue(requests)

            async def listed(fingerprint: int | None) -> list[JobId]:
                where = JobFilter(fingerprint=fingerprint, states=(State.QUEUED,))
                return [job.id for job in await store.jobs(where, limit=10)]

            assert await listed(5) == [nth_id(4), nth_id(1)]
            assert await listed(0) == [nth_id(3)]
            assert await listed(None) == [nth_id(2)]
            assert await listed(6) == []

    async def test_jobs_are_counted_by_queue_and_state(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim, *_] = await begin(store, *make_requests(3))
            await finish(store, claim, Succeeded(None))
            await store.enqueue([make_request(4, queue="mail"), make_request(5, delay_s=60)])

            assert await store.counts() == {
                ("default", State.SUCCEEDED): 1,
                ("default", State.RUNNING): 2,
                ("default", State.SCHEDULED): 1,
                ("mail", State.QUEUED): 1,
            }

    async def test_the_backlog_counts_live_jobs_by_task_queue_and_fingerprint(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            claims = await begin(store, *make_requests(3, fingerprint=5))
            await finish(store, claims[0], Succeeded(None))
            await finish(store, claims[1], Failed(BOOM))
            await store.enqueue(
                [
                    make_request(4, fingerprint=5),
                    make_request(5, fingerprint=5, delay_s=60.0),
                    make_request(6, fingerprint=0),
                    make_request(7),
                    make_request(8, fingerprint=5, queue="mail"),
                    make_request(9, fingerprint=5, task="shop.bill"),
                ]
            )

            assert await store.backlog() == [
                Backlog("shop.bill", "default", 5, 1),
                Backlog("shop.ship", "default", None, 1),
                Backlog("shop.ship", "default", 0, 1),
                Backlog("shop.ship", "default", 5, 3),
                Backlog("shop.ship", "mail", 5, 1),
            ]

    @pytest.mark.parametrize("state", sorted(State))
    async def test_the_backlog_counts_a_job_as_long_as_it_is_live(
        self, world: StoreWorld, state: State
    ) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request(fingerprint=5))
            if state is not State.RUNNING:
                await store.settle([move(claim, state)])

            counted = [Backlog("shop.ship", "default", 5, 1)] if state in LIVE else []
            assert await store.backlog() == counted

    # -- dead letters --------------------------------------------------------

    async def test_dead_letters_are_grouped_by_task_error_and_reason(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            claims = await begin(store, *make_requests(4), make_request(5, task="shop.bill"))
            await store.enqueue([make_request(6, expires_s=1)])
            await finish(store, claims[0], Failed(BOOM))
            await world.advance(2)
            for claim, error in zip(claims[1:], (BOOM, OTHER, BOOM, BOOM), strict=True):
                reason = Reason.TIMEOUT if claim is claims[3] else Reason.ERROR
                await finish(store, claim, Failed(error, reason=reason))
            await store.sweep(10, LOSSES_MAX)
            groups = await store.dead_letters(limit=10)
            first, second = await row(store, nth_id(1)), await row(store, nth_id(2))
            counts = {(g.task, g.error_type, g.reason): g.count for g in groups}
            [double] = [g for g in groups if g.count == 2]

            assert counts == {
                ("shop.ship", BOOM.type, Reason.ERROR): 2,
                ("shop.ship", OTHER.type, Reason.ERROR): 1,
                ("shop.ship", BOOM.type, Reason.TIMEOUT): 1,
                ("shop.bill", BOOM.type, Reason.ERROR): 1,
                ("shop.ship", "", Reason.EXPIRED): 1,
            }
            assert isinstance(double, DeadLetters)
            assert (double.first_at, double.last_at) == (first.ended_at, second.ended_at)
            assert double.sample in (first.id, second.id)
            assert len(await store.dead_letters(limit=2)) == 2

    async def test_a_resolved_job_is_no_dead_letter_but_stays_failed(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            await finish(store, claim, Failed(BOOM))
            before = await row(store, claim.job_id)
            answer = await store.resolve([claim.job_id], "operator")
            after = await row(store, claim.job_id)
            event = (await store.events(claim.job_id))[-1]

            assert answer == [True]
            assert after.resolved_at is not None
            assert (after.state, after.reason, after.ended_at) == (
                State.FAILED,
                Reason.ERROR,
                before.ended_at,
            )
            assert await store.dead_letters(limit=10) == []
            assert (event.before, event.after) == (State.FAILED, State.FAILED)
            assert event.actor == "operator"

    async def test_resolving_answers_for_each_job_in_order(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            claims = await begin(store, *make_requests(4))
            for n in (0, 1):
                await finish(store, claims[n], Failed(BOOM))
            await store.settle([move(claims[2], State.SUCCEEDED)])
            await store.resolve([nth_id(1)], "operator")
            events = await store.events(nth_id(1))
            answer = await store.resolve([nth_id(n) for n in (4, 3, 2, 1, 99)], "operator")

            assert answer == [False, False, True, False, False]
            assert await store.events(nth_id(1)) == events
            assert await store.events(nth_id(4)) == []
            assert await store.resolve([], "operator") == []
