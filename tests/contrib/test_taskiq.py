"""The front end for taskiq: what is its own about it, and what it refuses."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest

from tests.app.live import QUICK, running, working
from windlass import INJECTED, App, Depends, JobHandle, JobId, Snooze, State, context
from windlass.contrib import taskiq
from windlass.contrib.taskiq import (
    AioPikaBroker,
    AsyncBroker,
    AsyncResultBackend,
    AsyncTaskiqTask,
    Context,
    InMemoryBroker,
    LabelScheduleSource,
    ListRedisScheduleSource,
    RedisAsyncResultBackend,
    RedisStreamBroker,
    ResultGetError,
    ScheduledTask,
    ScheduleSource,
    SendTaskError,
    SimpleRetryMiddleware,
    SmartRetryMiddleware,
    TaskiqDepends,
    TaskiqMessage,
    TaskiqMiddleware,
    TaskiqResult,
    TaskiqResultTimeoutError,
    TaskiqScheduler,
    async_shared_broker,
)
from windlass.contrib.taskiq.failures import exception_of, with_details
from windlass.errors import (
    BadArguments,
    BadOption,
    BadTask,
    BadTrigger,
    NotEncodable,
    NotSupported,
    UnknownZone,
)
from windlass.model.outcomes import ErrorInfo

WAIT_S = 15.0


def broker_in(folder: Path, **options: Any) -> RedisStreamBroker:
    """Return a broker whose jobs are in a file, and whose waits are short."""
    broker = RedisStreamBroker(f"sqlite:///{folder}/jobs.db", **options)
    broker.windlass_app.use_settings(**QUICK)
    return broker


def job_of(broker: RedisStreamBroker, task: AsyncTaskiqTask[Any]) -> "JobHandle[Any]":
    """Return the job that a task is."""
    return JobHandle(broker.windlass_app, JobId(task.task_id), None)


# -- runs --------------------------------------------------------------------


async def test_a_smart_retry_comes_after_its_delay_and_counts_as_an_attempt(tmp_path: Path) -> None:
    smart = SmartRetryMiddleware(default_delay=0.2, use_delay_exponent=True, max_delay_exponent=1)
    broker = broker_in(tmp_path).with_middlewares(smart)
    times: list[float] = []

    @broker.task(retry_on_error=True, max_retries=3)
    async def knock() -> int:
        times.append(asyncio.get_running_loop().time())
        if len(times) < 3:
            raise ConnectionError
        return len(times)

    async with working(broker.windlass_app):
        task = await knock.kiq()
        result = await task.wait_result(timeout=WAIT_S)
        job = await job_of(broker, task).ajob()

    assert (result.return_value, job.attempt, job.failures) == (3, 3, 2)
    assert times[1] - times[0] >= 0.2
    assert times[2] - times[1] >= 0.4


async def test_only_errors_of_the_types_asked_for_are_retried(tmp_path: Path) -> None:
    retries = SimpleRetryMiddleware(default_retry_label=True, types_of_exceptions=[OSError])
    broker = broker_in(tmp_path).with_middlewares(retries)

    @broker.task
    async def first() -> None:
        raise LookupError

    @broker.task(types_of_exceptions=[LookupError], max_retries=2)
    async def second() -> None:
        raise LookupError

    async with working(broker.windlass_app):
        tasks = [await first.kiq(), await second.kiq()]
        for task in tasks:
            assert (await task.wait_result(timeout=WAIT_S)).is_err
        attempts = [(await job_of(broker, task).ajob()).attempt for task in tasks]

    assert attempts == [1, 2]


class Meddler(TaskiqMiddleware):
    """Changes results, or breaks, as the label ``meddle`` says."""

    def post_execute(self, message: TaskiqMessage, result: TaskiqResult[Any]) -> None:
        match message.labels.get("meddle"):
            case "break":
                raise RuntimeError("a broken hook")
            case "mend":
                result.is_err, result.error, result.return_value = False, None, "mended"
            case "fail":
                result.is_err, result.error = True, ValueError("not good enough")


async def test_a_hook_may_change_a_result_and_where_it_breaks_the_job_fails_at_once(
    tmp_path: Path,
) -> None:
    broker = broker_in(tmp_path).with_middlewares(Meddler())

    @broker.task
    async def work(fails: bool) -> str:
        if fails:
            raise OSError("no")
        return "fine"

    async with working(broker.windlass_app):
        ended = {}
        for meddle, fails in (("break", False), ("mend", True), ("fail", False)):
            task = await work.kicker().with_labels(meddle=meddle).kiq(fails)
            result = await task.wait_result(timeout=WAIT_S)
            job = await job_of(broker, task).ajob()
            ended[meddle] = job.state, job.attempt, result.return_value, repr(result.error)

    assert ended == {
        "break": (State.FAILED, 1, None, "RuntimeError('a broken hook')"),
        "mend": (State.SUCCEEDED, 1, "mended", "None"),
        "fail": (State.FAILED, 1, None, "ValueError('not good enough')"),
    }


async def test_what_a_task_returns_has_to_have_a_form_in_json(tmp_path: Path) -> None:
    broker = broker_in(tmp_path)

    @broker.task
    def thing() -> Any:
        return object()

    async with working(broker.windlass_app):
        result = await (await thing.kiq()).wait_result(timeout=WAIT_S)

    assert isinstance(result.error, NotEncodable)
    assert "have no form in JSON" in str(result.error)


async def test_a_cancelled_task_ends_its_dependencies_and_has_no_result(tmp_path: Path) -> None:
    broker = broker_in(tmp_path)
    seen: list[str] = []

    async def watch() -> AsyncGenerator[None, None]:
        try:
            yield
        except asyncio.CancelledError:
            seen.append("stopped")
            raise

    @broker.task
    async def long(watched: None = TaskiqDepends(watch)) -> None:
        await asyncio.sleep(60)

    async with working(broker.windlass_app):
        task = await long.kiq()
        handle = job_of(broker, task)
        await running(handle)
        await handle.acancel()
        with pytest.raises(ResultGetError, match="there is no result of it"):
            await task.wait_result()
        with pytest.raises(TaskiqResultTimeoutError):
            await task.wait_result(timeout=WAIT_S)
        assert not await task.is_ready()

    assert seen == ["stopped"]


async def test_the_timeout_of_a_plain_function_is_told_though_it_goes_on(tmp_path: Path) -> None:
    broker = broker_in(tmp_path)
    loop, let_go = asyncio.get_running_loop(), asyncio.Event()

    @broker.task(timeout=0.1)
    def wait() -> None:
        asyncio.run_coroutine_threadsafe(let_go.wait(), loop).result()

    async with working(broker.windlass_app):
        result = await (await wait.kiq()).wait_result(timeout=WAIT_S)
        let_go.set()

    assert isinstance(result.error, TimeoutError)


# -- on Windlass -------------------------------------------------------------


async def test_a_task_is_an_ordinary_task_of_the_app(tmp_path: Path) -> None:
    broker = broker_in(tmp_path, queue_name="post")
    app = broker.windlass_app

    def postage() -> int:
        return 7

    @broker.task(task_name="post.send", colour="red")
    async def send(
        number: int,
        cents: Annotated[int, Depends(postage)] = INJECTED,
        ctx: Context = TaskiqDepends(),
    ) -> list[Any]:
        if context().attempt == 1:
            raise Snooze(0)
        return [number, cents, ctx.message.labels["colour"]]

    native = app.task_named("post.send")
    async with working(app):
        job = await native.aenqueue(4)  # without a kicker: under the labels of the task
        assert await job.aresult(timeout=WAIT_S) == [4, 7, "red"]
        again: AsyncTaskiqTask[Any] = AsyncTaskiqTask(job.id, broker.result_backend)
        result = await again.get_result()

    assert native.spec.queue == "post"
    assert result.labels == {"colour": "red", "X-Taskiq-requeue": "1"}
    assert (await job.ajob()).payload == b'{"number":4}'


async def test_a_task_may_send_others(tmp_path: Path) -> None:
    broker = broker_in(tmp_path)

    @broker.task
    async def inner(value: int) -> int:
        return value + 1

    @broker.task
    async def outer(value: int) -> int:
        return (await (await inner.kiq(value)).wait_result(timeout=WAIT_S)).return_value

    async with working(broker.windlass_app):
        assert (await (await outer.kiq(1)).wait_result(timeout=WAIT_S)).return_value == 2


async def test_the_labels_of_a_transport_become_options_of_the_job(tmp_path: Path) -> None:
    broker = AioPikaBroker(f"sqlite:///{tmp_path}/jobs.db")

    @broker.task(priority=5)
    async def nothing() -> None: ...

    async with broker.windlass_app.session() as client:
        task = await nothing.kicker().with_labels(delay=60, queue_name="slow").kiq()
        job = await client.get(JobId(task.task_id))

    assert (job.state, job.priority, job.queue) == (State.SCHEDULED, 5, "slow")


async def test_an_id_of_your_own_is_taken_once(tmp_path: Path) -> None:
    names = iter(["a", "b", "b"])
    broker = broker_in(tmp_path).with_id_generator(lambda: next(names))

    @broker.task
    async def nothing() -> None: ...

    async with broker.windlass_app.session():
        assert [(await nothing.kiq()).task_id for _ in "ab"] == ["a", "b"]
        for kicker in (nothing.kicker(), nothing.kicker().with_task_id("a")):
            with pytest.raises(SendTaskError, match="there is a job of the id"):
                await kicker.kiq()


async def test_what_does_not_fit_is_refused_where_it_is_sent(tmp_path: Path) -> None:
    broker = broker_in(tmp_path)

    @broker.task
    async def add(a: int, b: int) -> int:
        return a + b

    async with broker.windlass_app.session():
        with pytest.raises(SendTaskError, match="missing a required argument") as caught:
            await add.kiq(1)  # type: ignore[call-overload]
        assert isinstance(caught.value.__cause__, BadArguments)
        with pytest.raises(SendTaskError, match="no form in JSON"):
            await add.kiq(1, object())  # type: ignore[call-overload]
        with pytest.raises(SendTaskError, match="the headers of task"):
            await add.kicker().with_labels(much="x" * 9_000).kiq(1, 2)


def test_the_first_use_says_where_jobs_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("WINDLASS_")]:
        monkeypatch.delenv(name)
    broker = RedisStreamBroker("redis://somewhere:6379/0", max_connection_pool_size=3)

    async def start_twice() -> None:
        for _ in range(2):
            await broker.startup()
            await broker.shutdown()

    with caplog.at_level(logging.INFO, "windlass.taskiq"):
        asyncio.run(start_twice())

    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "jobs go to sqlite:///windlass.db (setting store, from default); "
        "not used: redis://somewhere:6379/0, max_connection_pool_size"
    )


# -- schedules ---------------------------------------------------------------


async def test_a_schedule_made_while_the_program_runs_is_one_of_the_store(tmp_path: Path) -> None:
    broker = broker_in(tmp_path)
    source = ListRedisScheduleSource("redis://somewhere")
    scheduler = TaskiqScheduler(broker, [LabelScheduleSource(broker), source])

    @broker.task
    async def deliver(to: str, by: str = "van") -> None: ...

    async with scheduler.windlass_app.session() as client:
        kicker = deliver.kicker().with_schedule_id("daily").with_labels(shift="late")
        made = await kicker.schedule_by_cron(source, "0 3 * * *", "ann")
        row = await client.schedules.get("daily")
        assert (row.task, made.schedule_id) == (deliver.task_name, "daily")
        [tick] = await client.schedules.preview("daily", count=1)
        assert tick.at.hour == 3
        await made.unschedule()
        await made.unschedule()  # idempotent

        later = await deliver.schedule_by_time(source, datetime(2100, 1, 1), "bob")
        job = await client.get(JobId(later.schedule_id))
        assert (job.state, job.due_at) == (State.SCHEDULED, datetime(2100, 1, 1, tzinfo=UTC))
        await later.unschedule()
        assert (await client.get(job.id)).state is State.CANCELLED


def test_schedules_stand_beside_their_tasks(tmp_path: Path) -> None:
    broker = broker_in(tmp_path)

    @broker.task(schedule=[{"cron": "0 3 * * *"}, {"time": datetime(2100, 1, 1), "args": ["x"]}])
    async def tidy(what: str = "all") -> None: ...

    drafts = broker.windlass_app.schedules.declared()
    assert [draft.name for draft in drafts] == [f"{tidy.task_name}#1", f"{tidy.task_name}#2"]
    assert drafts[1].call.payload == b'{"what":"x"}'


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ({"cron": "61 * * * *"}, BadTrigger),
        ({"cron": "0 3 * * *", "cron_offset": "Mars/Olympus"}, UnknownZone),
        ({"cron": "0 3 * * *", "cron_offset": timedelta(hours=1)}, NotSupported),
        ({"interval": 0}, BadTrigger),
        ({"crom": "0 3 * * *"}, BadOption),
        ({"args": [1]}, BadOption),
        ({"interval": 5, "args": [1, 2]}, BadOption),
    ],
)
def test_a_schedule_that_cannot_be_kept_is_refused_at_its_task(
    entry: dict[str, Any], error: type[Exception], tmp_path: Path
) -> None:
    broker = broker_in(tmp_path)

    async def nothing(a: int = 0) -> None: ...

    with pytest.raises(error):
        broker.register_task(nothing, schedule=[entry])


def test_schedules_that_are_no_list_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="list of dicts"):
        broker_in(tmp_path).task(schedule={"cron": "* * * * *"})(lambda: None)


# -- labels ------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels", [{"delay": "soon"}, {"delay": -1}, {"delay": 1e12}, {"priority": "high"}]
)
async def test_a_label_that_is_no_number_is_not_sent(
    labels: dict[str, Any], tmp_path: Path
) -> None:
    broker = AioPikaBroker(f"sqlite:///{tmp_path}/jobs.db")
    nothing = broker.register_task(lambda: None, "nothing")

    with pytest.raises(SendTaskError, match=next(iter(labels))):
        await nothing.kicker().with_labels(**labels).kiq()
    assert (await (await broker.windlass_app.client()).jobs()) == []
    await broker.shutdown()


@pytest.mark.parametrize(
    "labels", [{"delay": "soon"}, {"delay": 1e12}, {"max_retries": "x"}, {"timeout": "x"}]
)
async def test_a_label_of_a_run_that_is_no_number_says_which(labels: dict[str, Any]) -> None:
    broker = InMemoryBroker(await_inplace=True)
    broker.add_middlewares(SmartRetryMiddleware(default_retry_label=True))

    @broker.task
    async def fails() -> None:
        raise ValueError

    [name] = labels
    if name == "timeout":
        sent = await fails.kicker().with_labels(**labels).kiq()
        error = (await sent.get_result()).error
    else:
        with pytest.raises(SendTaskError) as raised:  # of a middleware, in place
            await fails.kicker().with_labels(**labels).kiq()
        error = raised.value.__cause__

    assert isinstance(error, BadOption)
    assert error.option == name


# -- errors ------------------------------------------------------------------


class Picky(Exception):
    """Wants two arguments, and keeps none."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()


def test_errors_come_back_as_well_as_they_can() -> None:
    told = with_details(ErrorInfo("x", "y"), Picky(1, 2))
    assert str(exception_of(told)).endswith("Picky()")
    assert repr(exception_of(ErrorInfo("KeyError", "'x'"))) == repr(KeyError("'x'"))
    assert type(exception_of(ErrorInfo(f"{__name__}.Gone", "y"))).__name__ == "Gone"
    large = with_details(ErrorInfo("ValueError", "large"), ValueError("x" * 20_000))
    assert (large.details, str(exception_of(large))) == ("", "large")


# -- in memory ---------------------------------------------------------------


def clock() -> str:
    return "the real one"


def other_clock(name: str = TaskiqDepends(lambda: "a stopped one")) -> str:
    return name


async def test_in_memory_dependencies_are_given_and_replaced() -> None:
    broker = InMemoryBroker(await_inplace=True)

    @broker.task
    async def look(time: str = TaskiqDepends(clock), path: Path = TaskiqDepends()) -> list[str]:
        return [str(path), time]

    broker.add_dependency_context({Path: Path("/x")})
    assert (await (await look.kiq()).get_result()).return_value == ["/x", "the real one"]
    broker.dependency_overrides[clock] = other_clock
    broker.custom_dependency_context = {}
    assert (await (await look.kiq()).get_result()).return_value == [".", "a stopped one"]


async def test_in_memory_tasks_run_beside_the_code_or_in_place() -> None:
    beside, in_place = InMemoryBroker(), InMemoryBroker(await_inplace=True)

    async def double(value: int) -> int:
        await asyncio.sleep(0.01)
        return 2 * value

    slow, quick = beside.register_task(double), in_place.register_task(double)
    task = await slow.kiq(2)
    assert not await task.is_ready()
    with pytest.raises(ResultGetError):
        await task.get_result()
    await beside.wait_all()
    assert (await task.get_result()).return_value == 4
    assert await (await quick.kiq(2)).is_ready()
    with pytest.raises(SendTaskError, match="knows no task"):
        await slow.kicker().with_broker(InMemoryBroker()).kiq(2)
    await in_place.shutdown()


def failing_end() -> Generator[None, None, None]:
    yield
    raise OSError("the disk is full")


async def test_a_dependency_that_fails_at_its_end_fails_the_attempt(tmp_path: Path) -> None:
    broker = broker_in(tmp_path)

    @broker.task
    async def save(disk: None = TaskiqDepends(failing_end)) -> str:
        return "saved"

    async with working(broker.windlass_app):
        result = await (await save.kiq()).wait_result(timeout=WAIT_S)

    assert repr(result.error) == "OSError('the disk is full')"


# -- what is refused ---------------------------------------------------------


async def nothing(*args: int) -> None: ...


def subclass(kind: type) -> Callable[[], object]:
    return lambda: type("Own", (kind,), {"__module__": "elsewhere"})


REFUSED: dict[str, Callable[[], object]] = {
    "broadcast": lambda: taskiq.PubSubBroker,
    "metrics": lambda: taskiq.PrometheusMiddleware,
    "progress": lambda: taskiq.ProgressTracker,
    "own broker": subclass(AsyncBroker),
    "own backend": subclass(AsyncResultBackend),
    "own source": subclass(ScheduleSource),
    "serializer": lambda: RedisStreamBroker().with_serializer(object()),
    "formatter": lambda: RedisStreamBroker().with_formatter(object()),
    "foreign backend": lambda: RedisStreamBroker().with_result_backend(object()),  # type: ignore[arg-type]
    "foreign source": lambda: TaskiqScheduler(RedisStreamBroker(), [object()]),  # type: ignore[list-item]
    "read once": lambda: RedisAsyncResultBackend("redis://", keep_results=False),
    "serialized results": lambda: RedisAsyncResultBackend("redis://", serializer=object()),
    "acknowledged": lambda: RedisStreamBroker().register_task(nothing, ack_type="manual"),
    "acknowledging": lambda: asyncio.run(Context(TaskiqMessage(task_id="", task_name=""), 0).ack()),
    "result on retry": lambda: SimpleRetryMiddleware(no_result_on_retry=False),
    "uncast": lambda: InMemoryBroker(cast_types=False),
    "unpropagated": lambda: InMemoryBroker(propagate_exceptions=False),
    "a worker in memory": lambda: InMemoryBroker().windlass_app,
    "anonymous arguments": lambda: RedisStreamBroker().register_task(
        nothing, schedule=[{"interval": 5, "args": [1]}]
    ),
    "setting a result": lambda: asyncio.run(AsyncResultBackend().set_result("a", None)),  # type: ignore[arg-type]
    "asking for progress": lambda: asyncio.run(
        AsyncTaskiqTask("a", AsyncResultBackend()).get_progress()
    ),
    "source without broker": lambda: asyncio.run(ListRedisScheduleSource().delete_schedule("a")),
    "code schedules are in code": lambda: asyncio.run(
        LabelScheduleSource(None).add_schedule(ScheduledTask(task_name="a"))
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_supported_refuses_and_names_what_to_use(what: str) -> None:
    with pytest.raises(NotSupported) as caught:
        REFUSED[what]()

    assert caught.value.instead
    assert "of taskiq is not supported here: " in str(caught.value)


def test_mistakes_are_refused_where_they_are_made(tmp_path: Path) -> None:
    broker = broker_in(tmp_path)
    broker.register_task(nothing, "twice")
    with pytest.raises(BadTask, match="already registered"):
        broker.register_task(nothing, "twice")
    with pytest.raises(NotSupported, match="behind the tasks"):
        broker.with_result_backend(RedisAsyncResultBackend(result_ex_time=60))
    with pytest.raises(BadOption, match="must be a TaskiqMiddleware"):
        broker.add_middlewares(object())  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        taskiq.nothing_of_this_name  # noqa: B018
    with pytest.raises(SendTaskError, match="a shared task has no broker"):
        asyncio.run(async_shared_broker.register_task(nothing, "lonely").kiq())


def test_results_are_kept_as_long_as_the_backend_says(tmp_path: Path) -> None:
    kept = {}
    seconds = RedisAsyncResultBackend(result_ex_time=60)
    for backend in (seconds, RedisAsyncResultBackend(result_px_time=1500)):
        broker = broker_in(tmp_path).with_result_backend(backend)
        task = broker.register_task(nothing, "kept")
        kept[backend] = broker.windlass_app.specs[task.task_name].result_ttl_s

    assert list(kept.values()) == [60, 1.5]
    assert isinstance(broker.windlass_app, App)
