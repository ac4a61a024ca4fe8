"""DAGs, on both stores, with a worker in the same loop."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.app.live import WAIT_S, ended, quick_app, running, until, working
from tests.app.test_schedules import scheduling
from windlass import (
    App,
    Batch,
    Cancel,
    Concurrency,
    Dag,
    JobFailed,
    JobFilter,
    JobHandle,
    Router,
    Rule,
    Schedule,
    State,
    Unique,
    chain,
    context,
    cron,
    every,
)
from windlass.core.why import Cause
from windlass.dags import faults_of_dags
from windlass.errors import (
    BadArguments,
    BadComposition,
    BadDag,
    BadOption,
    BadTask,
    JobCancelled,
    JobNotFound,
    NotInRun,
)
from windlass.model.jobs import Reason, RunKind


class Mill:
    """An app whose tasks say what they did, and DAGs of them."""

    def __init__(self, store_url: str, **settings: object) -> None:
        self.app = quick_app(store_url, **settings)
        self.said: list[str] = []
        self.gate = asyncio.Event()

        @self.app.task(name="grain", queue="field")
        async def grain(day: str, kilos: int = 2) -> list[int]:
            self.said.append(f"grain {day}")
            if day == "storm":
                raise OSError("no harvest")
            return [kilos] * 3

        @self.app.task(name="flour")
        def flour(grain: list[int]) -> int:
            self.said.append(f"flour {grain}")
            return sum(grain)

        @self.app.task(name="bread")
        def bread(flour: int, water: int, salt: int = 0) -> dict[str, int]:
            self.said.append(f"bread {flour} {water}")
            return {"loaves": flour + water + salt}

        @self.app.task(name="tell")
        def tell(what: str) -> str:
            self.said.append(f"tell {what}")
            return what

        @self.app.task(name="hold")
        async def hold() -> str:
            await self.gate.wait()
            return "held"

        self.grain, self.flour, self.bread, self.tell, self.hold = grain, flour, bread, tell, hold


@pytest.fixture
def mill(store_url: str) -> Mill:
    return Mill(store_url)


async def steps_of(app: App, run: "JobHandle[Any]") -> dict[str, State]:
    """Return the state of each step of a run, by its name."""
    client = await app.client()
    return {f"{s.name}{s.nth or ''}": s.state async for s in client.runs.steps(run.id)}


async def test_a_dag_runs_its_steps_as_their_results_come_in(mill: Mill) -> None:
    @mill.app.dag(name="bake")
    def bake(day: str, water: int = 1) -> dict[str, int]:
        harvest = mill.grain.step()(day, kilos=3)
        return mill.bread(mill.flour(harvest), water=water)

    async with working(mill.app):
        run = await bake.aenqueue("monday")
        result = await run.aresult(WAIT_S)
        job = await run.ajob()
        steps = await steps_of(mill.app, run)

    assert result == {"loaves": 10}
    assert mill.said == ["grain monday", "flour [3, 3, 3]", "bread 9 1"]
    assert (job.kind, job.attempt) == (RunKind.DAG, 2)
    assert steps == dict.fromkeys(["grain", "flour", "bread"], State.SUCCEEDED)


async def test_results_come_as_a_list_where_a_list_of_them_is_passed(mill: Mill) -> None:
    @mill.app.dag(name="many")
    def many(days: list[str]) -> list[int]:
        three = [mill.flour([n]) for n in range(3)]
        total = mill.flour(three)
        return [total, *three]

    async with working(mill.app):
        run = await many.aenqueue(["a"])

        assert await run.aresult(WAIT_S) == [3, 0, 1, 2]
        assert sorted(await steps_of(mill.app, run)) == ["flour", "flour1", "flour2", "flour3"]


async def test_a_step_that_fails_fails_the_run_and_names_itself(mill: Mill) -> None:
    @mill.app.dag(name="bake")
    def bake(day: str) -> dict[str, int]:
        said = mill.tell("beside")
        mill.tell.step(name="sorry", rule="one_failed", after=[said])("never")
        harvest = mill.grain.step(name="harvest")(day)
        mill.tell.step(name="alarm", rule=Rule.ONE_FAILED, after=[harvest])("alarm")
        return mill.bread(mill.flour(harvest), water=1)

    async with working(mill.app):
        run = await bake.aenqueue("storm")
        with pytest.raises(JobFailed) as caught:
            await run.aresult(WAIT_S)
        steps = await steps_of(mill.app, run)
        client = await mill.app.client()
        why = await client.why(run.id, datetime.now(UTC))
        [first] = [s async for s in client.runs.steps(run.id) if s.name == "harvest"]

    assert caught.value.error_type == "windlass.errors.StepsFailed"
    assert f"3 of 6 steps failed; first 'harvest' (job {first.job_id})" in str(caught.value)
    assert "error (OSError)" in str(caught.value)
    assert steps == {
        "tell": State.SUCCEEDED,
        "sorry": State.SKIPPED,
        "harvest": State.FAILED,
        "alarm": State.SUCCEEDED,
        "flour": State.FAILED,
        "bread": State.FAILED,
    }
    assert "tell alarm" in mill.said
    assert why.cause is Cause.DEAD


async def test_a_step_that_cancels_itself_cancels_the_run(mill: Mill) -> None:
    @mill.app.task(name="off")
    def off() -> None:
        raise Cancel

    @mill.app.dag(name="stops")
    def stops() -> str:
        return mill.tell.step(after=[off()])("unsaid")

    async with working(mill.app):
        run = await stops.aenqueue()
        with pytest.raises(JobCancelled):
            await run.aresult(WAIT_S)

        assert await steps_of(mill.app, run) == {"off": State.CANCELLED, "tell": State.CANCELLED}


async def test_the_cancel_of_a_run_cancels_its_steps_and_those_of_runs_in_it(mill: Mill) -> None:
    @mill.app.dag(name="inner")
    def inner() -> str:
        return mill.tell.step(after=[mill.hold.step()()])("unsaid")

    @mill.app.dag(name="outer")
    def outer() -> str:
        mill.tell("said")
        return mill.tell(inner())

    async with working(mill.app):
        run = await outer.aenqueue()
        client = await mill.app.client()
        async with asyncio.timeout(WAIT_S):
            there = {("hold", State.RUNNING), ("tell", State.SUCCEEDED)}
            while not there <= {(job.task, job.state) for job in await client.jobs(limit=9)}:
                await asyncio.sleep(0.005)
        why = await client.why(run.id, datetime.now(UTC))
        assert await run.acancel() is State.WAITING
        with pytest.raises(JobCancelled):
            await run.aresult(WAIT_S)
        states = {job.task: job.state for job in await client.jobs(limit=9)}

    assert why.cause is Cause.WAITING
    assert "its steps: 1 succeeded, 2 waiting" in why.because
    assert states["hold"] is states["inner"] is states["outer"] is State.CANCELLED
    assert mill.said == ["tell said"]


async def test_a_run_is_a_step_of_another_and_has_a_place_in_a_chain(mill: Mill) -> None:
    @mill.app.dag(name="inner")
    def inner(grain: list[int]) -> int:
        return mill.flour(grain)

    @mill.app.dag(name="outer")
    def outer(day: str) -> dict[str, int]:
        return mill.bread(inner(mill.grain.step()(day)), 4)

    async with working(mill.app):
        run = await outer.aenqueue("monday")
        assert await run.aresult(WAIT_S) == {"loaves": 10}
        last = await chain(
            mill.grain.bind("today"), inner.bind(), mill.bread.bind(water=1)
        ).aenqueue()

        assert await last.aresult(WAIT_S) == {"loaves": 7}


async def test_a_step_knows_its_run_and_the_tick_that_started_it(mill: Mill) -> None:
    seen: list[Any] = []

    @mill.app.task(name="look")
    def look() -> None:
        at = context()
        seen.append((at.step, at.idempotency_key, at.occasion))

    @mill.app.dag(name="hourly", schedule=Schedule(every(0.5), window=True, name="half"))
    def hourly() -> None:
        look()

    async with scheduling(mill.app) as client:
        async with asyncio.timeout(WAIT_S):
            while len(seen) < 2:
                await asyncio.sleep(0.01)
        [row] = await client.schedules.page()
        runs = await client.runs.page(name="hourly")

    (step, key, occasion), *_ = seen
    assert row.task == "hourly"
    assert step.name == "look"
    assert step.run in [run.id for run in runs]
    assert key == f"{step.run}/look/0/1"
    assert (occasion.schedule, occasion.fire_at - occasion.window_start) == (
        "half",
        timedelta(seconds=0.5),
    )


async def test_a_backfill_runs_a_dag_for_each_tick_of_the_past(mill: Mill) -> None:
    @mill.app.dag(name="daily", schedule=cron("0 0 * * *"))
    def daily() -> str:
        return mill.tell("again")

    since = datetime(2026, 1, 1, tzinfo=UTC)
    async with working(mill.app) as _, mill.app.session() as client:
        await client.schedules.sync(mill.app.schedules.declared(), {"daily"})
        row = await client.schedules.get("daily")
        request = backfill(mill.app, row, since, since + timedelta(days=3))
        await client.schedules.backfill(request, mill.app.new_job_id)
        async with asyncio.timeout(WAIT_S):
            while len(done := await client.runs.page(states=[State.SUCCEEDED])) < 3:
                await asyncio.sleep(0.01)
        items = await client.schedules.backfill_jobs(request.id)

    assert mill.said == ["tell again"] * 3
    assert [item.fire_at.day for item in items] == [1, 2, 3]
    assert {run.id for run in done} == {item.job_id for item in items}


def backfill(app: App, row: Any, since: datetime, until_: datetime) -> Any:
    """Return the request of a backfill of a schedule."""
    from windlass.core.backfills import backfill_request
    from windlass.model.backfills import BackfillId

    new_id = BackfillId(app.new_job_id())
    return backfill_request(new_id, row, since, until_, actor="test", parallelism=1)


async def test_a_limit_counts_runs_until_they_have_ended(mill: Mill) -> None:
    @mill.app.dag(name="one", limits=[Concurrency(1)])
    def one() -> str:
        return mill.tell.step(after=[mill.hold.step()()])("over")

    async with working(mill.app):
        first, second = [await one.aenqueue() for _ in range(2)]
        await until(first, lambda job: job.state is State.WAITING)
        client = await mill.app.client()
        await asyncio.sleep(0.3)  # time in which a second one would start
        assert (await second.ajob()).state is State.QUEUED
        why = await client.why(second.id, datetime.now(UTC))
        mill.gate.set()

        assert [await first.aresult(WAIT_S), await second.aresult(WAIT_S)] == ["over", "over"]
        assert why.cause is Cause.LIMIT
        assert first.id in why.because


async def test_a_failed_run_and_a_failed_step_are_retried_as_jobs_are(mill: Mill) -> None:
    flaky = {"fails": True}

    @mill.app.task(name="flaky")
    def flaky_task(flour: int) -> int:
        if flaky["fails"]:
            raise OSError("not yet")
        return flour + 1

    @mill.app.dag(name="bake")
    def bake() -> int:
        return flaky_task(mill.flour([1, 2]))

    async with working(mill.app):
        run = await bake.aenqueue()
        await ended(run)
        client = await mill.app.client()
        [failed] = [s async for s in client.runs.steps(run.id, states=[State.FAILED])]
        flaky["fails"] = False
        alone = mill.app.job(await client.retry(failed.job_id, mill.app.new_job_id()))
        again = mill.app.job(await client.retry(run.id, mill.app.new_job_id()))

        assert await alone.aresult(WAIT_S) == 4  # given by the same step as the first
        assert await again.aresult(WAIT_S) == 4
        assert len(await steps_of(mill.app, again)) == 2
        assert len(await steps_of(mill.app, run)) == 2


async def test_to_retry_all_dead_letters_is_to_retry_runs_and_not_their_steps(mill: Mill) -> None:
    @mill.app.dag(name="bake")
    def bake(day: str) -> int:
        return mill.flour(mill.grain.step()(day))

    async with working(mill.app):
        run = await ended(await bake.aenqueue("storm"))
        client = await mill.app.client()
        assert await client.retry_all(JobFilter(), mill.app.new_job_id) == 1
        [again, first] = await client.runs.page()
        of_run = JobFilter(run=run.id)
        assert await client.retry_all(of_run, mill.app.new_job_id) == 2

    assert (again.retry_of, first.id) == (run.id, run.id)


async def test_runs_are_listed_and_told_from_jobs(mill: Mill) -> None:
    @mill.app.dag(name="small")
    def small() -> str:
        return mill.tell("x")

    async with working(mill.app):
        run = await small.aenqueue()
        await run.aresult(WAIT_S)
        client = await mill.app.client()
        [listed] = await client.runs.page(kind=RunKind.DAG, name="small")
        assert await client.runs.page(kind=RunKind.WORKFLOW) == []
        assert await client.runs.tally(run.id) == {State.SUCCEEDED: 1}
        [step] = [s async for s in client.runs.steps(run.id)]
        with pytest.raises(JobNotFound):
            await client.runs.get(step.job_id)

        assert listed.id == run.id == (await client.runs.get(run.id)).id


async def test_five_hundred_steps_fan_in_exactly_once(mill: Mill) -> None:
    @mill.app.dag(name="wide")
    def wide() -> int:
        return mill.flour([mill.flour([n]) for n in range(500)])

    async with working(mill.app, concurrency=50):
        run = await wide.aenqueue()

        assert await run.aresult(WAIT_S) == sum(range(500))
        assert mill.said.count(f"flour {list(range(500))}") == 1
        assert len(mill.said) == 501


def test_a_router_has_dags_of_its_own(store_url: str) -> None:
    router = Router(queue="slow")

    @router.task(name="part")
    def part(n: int) -> int:
        return n

    @router.dag(name="whole")
    def whole(n: int) -> int:
        return part(n)

    app = quick_app(store_url)
    app.include(router)

    assert [dag.name for dag in app.dags] == ["whole"]
    assert whole.graph.steps[0].task.spec.queue == "slow"
    assert whole.prepare(1).queue == "slow"


# -- bad input -----------------------------------------------------------------


def declared(mill: Mill, function: Callable[..., Any]) -> Dag[Any, Any]:
    """Return a DAG of a function that has not been called yet."""
    return mill.app.dag(name="bad")(function)


def returns_a_value(mill: Mill) -> Any:
    mill.tell("x")
    return 7


def looks_at_a_result(mill: Mill) -> None:
    if mill.tell("x") == "x":
        mill.tell("y")


def loops_over_a_result(mill: Mill) -> None:
    for _ in mill.grain.step()("x"):
        pass


def formats_a_result(mill: Mill) -> None:
    mill.tell(f"said {mill.tell('x')}")


def reads_a_field(mill: Mill) -> None:
    mill.tell(mill.bread(1, 2).loaves)  # type: ignore[attr-defined]


def hides_a_result(mill: Mill) -> None:
    mill.flour([1, mill.flour([2])])


def waits_for_a_value(mill: Mill) -> None:
    mill.tell.step(after=["x"])("y")


def starts_always_and_waits(mill: Mill) -> None:
    mill.tell.step(rule="always")(mill.tell("x"))


def enqueues(mill: Mill) -> None:
    mill.tell.enqueue("x")


def has_a_rule_for_nothing(mill: Mill) -> None:
    mill.tell.step(rule="one_failed")("x")


def has_a_result_as_a_key(mill: Mill) -> None:
    mill.flour({mill.flour([2]): 1})  # type: ignore[arg-type]


def raises(mill: Mill) -> None:
    mill.flour([-mill.flour([2])])


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda mill: None, "no steps"),
        (returns_a_value, "it returns 7"),
        (looks_at_a_result, "result of step 'tell' is known only when it runs"),
        (loops_over_a_result, "result of step 'grain' is known only when it runs"),
        (formats_a_result, "result of step 'tell' is known only when it runs"),
        (reads_a_field, "result of step 'bread' is known only when it runs"),
        (hides_a_result, "argument 'grain' has the result of a step inside of it"),
        (waits_for_a_value, "after='x' is not the result of a step"),
        (starts_always_and_waits, "starts always"),
        (enqueues, "uses the store"),
        (has_a_rule_for_nothing, "rule 'one_failed', but waits for nothing"),
        (has_a_result_as_a_key, "argument 'grain' has the result of a step inside of it"),
        (raises, "its function raised TypeError"),
    ],
)
def test_a_declaration_that_cannot_be_kept_says_what_and_which(
    mill: Mill, function: Callable[[Mill], Any], words: str
) -> None:
    dag = declared(mill, lambda: function(mill))

    with pytest.raises(BadDag, match=words):
        _ = dag.graph
    assert isinstance(dag.fault, BadDag)


async def test_a_worker_does_not_start_with_a_dag_that_is_declared_wrongly(mill: Mill) -> None:
    declared(mill, lambda: None)

    with pytest.raises(BadDag):
        async with asyncio.timeout(WAIT_S):
            await mill.app.run_worker()
    await mill.app.aclose()


async def test_what_no_run_could_do_is_told_before_a_worker_starts(mill: Mill) -> None:
    @App().task(name="stranger")
    def stranger() -> None: ...

    foreign = mill.app.dag(name="foreign")(lambda: stranger())
    inner = mill.app.dag(name="inner")(lambda: outer())
    outer = mill.app.dag(name="outer")(lambda: inner())
    faults = [str(fault) for fault in faults_of_dags(mill.app.dags, mill.app.specs)]

    assert foreign.fault is inner.fault is None
    assert [fault.split(":")[0] for fault in faults] == [
        "DAG 'foreign'",
        "DAG 'inner'",
        "DAG 'outer'",
    ]
    assert "no task 'stranger'" in faults[0]
    assert "is a step of itself" in faults[1]
    with pytest.raises(BadDag, match="stranger"):
        await mill.app.run_worker()
    await mill.app.aclose()


def test_what_runs_together_is_no_run_and_is_given_nothing(mill: Mill) -> None:
    together = mill.app.task(name="together", limits=[Batch(10, 1.0)])(len_of)

    with pytest.raises(BadTask, match="a Batch is for tasks"):
        mill.app.dag(name="batches", limits=[Batch(10, 1.0)])(len_of)
    with pytest.raises(BadComposition, match="with a Batch takes no results"):
        _ = declared(mill, lambda: together(mill.flour([1]))).graph  # type: ignore[arg-type]
    with pytest.raises(BadComposition, match="with a Batch takes no results"):
        chain(mill.flour.bind([1]), together.bind()).enqueue()


def len_of(items: list[int]) -> list[int]:
    return items


def test_a_step_is_checked_where_it_is_declared(mill: Mill) -> None:
    with pytest.raises(BadArguments, match="water"):
        _ = declared(mill, lambda: mill.bread(1)).graph  # type: ignore[call-arg]
    other = mill.app.dag(name="other")(lambda: mill.bread("x", 1))  # type: ignore[arg-type]
    with pytest.raises(BadArguments, match="flour"):
        _ = other.graph


def test_results_of_another_dag_are_refused(mill: Mill) -> None:
    kept: list[Any] = []
    first = mill.app.dag(name="first")(lambda: kept.append(mill.tell("x")))
    second = mill.app.dag(name="second")(lambda: mill.tell.step(after=kept)("y"))

    assert len(first.graph.steps) == 1
    with pytest.raises(BadDag, match="of DAG 'first'> is of another DAG"):
        _ = second.graph


def test_what_has_no_place_in_a_dag_is_refused(mill: Mill) -> None:
    @mill.app.task(name="once", once=Unique())
    def once() -> None: ...

    async def awaits() -> None: ...

    with pytest.raises(BadComposition, match="`once`"):
        _ = declared(mill, once).graph
    with pytest.raises(BadDag, match="async"):
        mill.app.dag(name="async")(awaits)
    with pytest.raises(BadDag, match="no name of its own"):
        mill.app.dag(name="rest")(lambda *days: None)
    with pytest.raises(BadOption, match="retry"):
        mill.app.dag(name="retry", retry=1)  # type: ignore[call-overload]
    with pytest.raises(BadOption, match="one_fails"):
        mill.tell.step(rule="one_fails")  # type: ignore[arg-type]
    keyed = mill.app.dag(name="keyed")(lambda: mill.tell.using(unique_key="k")("x"))
    with pytest.raises(BadComposition, match="unique_key"):
        _ = keyed.graph


def test_a_dag_and_its_steps_are_not_called_elsewhere(mill: Mill) -> None:
    dag = mill.app.dag(name="fine")(lambda: mill.tell("x"))

    with pytest.raises(NotInRun, match="enqueue it"):
        dag()
    with pytest.raises(NotInRun, match="where a DAG is declared"):
        mill.tell.step()("x")
    assert mill.tell("here") == "here"


async def test_a_dag_is_checked_when_it_is_enqueued(mill: Mill) -> None:
    @mill.app.dag(name="typed")
    def typed(day: datetime) -> str:
        return mill.tell("x")

    with pytest.raises(BadArguments, match="day"):
        await typed.aenqueue("no day")  # type: ignore[arg-type]
    await mill.app.aclose()


async def test_a_step_whose_arguments_do_not_fit_fails_its_run(mill: Mill) -> None:
    @mill.app.dag(name="misfit")
    def misfit(water: Any) -> dict[str, int]:
        return mill.bread(1, water)

    async with working(mill.app):
        run = await misfit.aenqueue("much")
        job = await until(await ended(run), lambda found: True)

    assert (job.state, job.reason) == (State.FAILED, Reason.ERROR)
    assert job.error_type == "windlass.errors.BadArguments"
    _ = running
