"""The front end for code of qtasks, where it stands alone: what differs, and what refuses."""

import importlib
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import pydantic
import pytest

from tests.app.live import QUICK, WAIT_S, working
from tests.contrib.beside import worker_of
from windlass import JobId, NotEncodable, State
from windlass.contrib.qtasks import Depends, QueueTasks, SyncRouter, get_app, shared_task
from windlass.contrib.qtasks.asyncio import QueueTasks as AsyncQueueTasks
from windlass.contrib.qtasks.configs import QueueConfig
from windlass.contrib.qtasks.exc import TaskCancelError
from windlass.contrib.qtasks.middlewares import TaskMiddleware
from windlass.contrib.qtasks.registries import AsyncTask, SyncTask
from windlass.contrib.qtasks.results import SyncResult
from windlass.errors import BadOption, BadTask, NotSupported, WindlassError


class Item(pydantic.BaseModel):
    name: str
    value: int


closed: list[str] = []
started: list[str] = []
seen: list[str] = []
gate = threading.Event()


class Noting(TaskMiddleware):
    def __call__(self) -> None:
        seen.append(self.task_executor.task_func.name)


@contextmanager
def book() -> Iterator[str]:
    try:
        yield "book"
    finally:
        closed.append("book")


class Till:
    def __enter__(self) -> str:
        return "till"

    def __exit__(self, *_: object) -> None:
        closed.append("till")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueueTasks]:
    """An app of plain functions beside its worker, which runs one task at a time."""
    folder = tmp_path_factory.mktemp("shop")
    config = QueueConfig(max_tasks_process=1)
    app = QueueTasks("shop", f"sqlite:///{folder}/jobs.db", config=config)
    define(app)
    app.add_middleware(Noting)
    with worker_of(app.windlass_app):
        yield app
    app.windlass_app.close()


def define(app: QueueTasks) -> None:
    @app.task(echo=True)
    def metadata(self: SyncTask) -> list[Any]:
        now = self.ctx.get_metadata()
        same = self.ctx.get_task(self.ctx.task_uuid)  # type: ignore[arg-type]
        assert now is not None
        assert same is not None
        return [now.status, same.status, self.ctx.get_config().max_tasks_process]

    @app.task(echo=True)
    def component(self: SyncTask, name: str) -> Any:
        return self.ctx.get_component(name)

    @app.task
    def price(item: Item, *, pieces: int = 1) -> Item:
        return Item(name=item.name, value=item.value * pieces)

    @app.task
    def refuse(by: Annotated[str, Depends(book)], *, at: Annotated[str, Depends(Till)]) -> None:
        raise LookupError(f"{by} and {at}")

    @app.task
    def hold() -> str:
        assert gate.wait(WAIT_S)
        return "released"

    @app.task
    def order(name: str) -> None:
        started.append(name)

    @app.task
    def cancel(reason: str) -> None:
        raise TaskCancelError(reason)

    @app.task
    def endless() -> float:
        return float("inf")

    @app.task(decode=lambda value: "no JSON")
    def undecodable() -> str:
        return "x"


def add(app: QueueTasks, task_name: str, *args: Any, **kwargs: Any) -> Any:
    task = app.add_task(task_name, *args, timeout=WAIT_S, **kwargs)
    assert task is not None
    return task


def holding(app: QueueTasks) -> Any:
    """Have the only slot of the worker taken until the gate is set."""
    gate.clear()
    task = app.add_task("hold")
    assert task is not None
    wait_until(lambda: app.get(task.uuid).status == "process")  # type: ignore[union-attr]
    return task


# -- what qtasks 1.7.3 documents, and does not do ----------------------------


def test_the_context_of_a_task_knows_its_app(shop: QueueTasks) -> None:
    assert add(shop, "metadata").returning == ["process", "process", 1]
    assert add(shop, "component", "name").returning == "shop"


def test_a_model_is_put_together_in_a_plain_app_too(shop: QueueTasks) -> None:
    for task in (
        add(shop, "price", "tea", 2, pieces=3),
        add(shop, "price", "tea", value=2, pieces=3),
        add(shop, "price", name="tea", value=2, pieces=3),
    ):
        assert task.returning == {"name": "tea", "value": 6}


def test_middleware_of_the_app_is_run_for_every_task(shop: QueueTasks) -> None:
    seen.clear()
    add(shop, "metadata")
    add(shop, "order", "x")

    assert seen == ["metadata", "order"]


def test_a_dependency_is_ended_after_an_error_too(shop: QueueTasks) -> None:
    closed.clear()
    task = add(shop, "refuse")

    assert task.traceback.strip().endswith("LookupError: book and till")
    assert sorted(closed) == ["book", "till"]


def test_a_router_takes_a_function_without_brackets_and_after_it_was_included() -> None:
    app, router = QueueTasks("late", "sqlite:///unused.db"), SyncRouter()
    app.include_router(router)
    app.include_router(router)

    @router.task
    def found() -> None: ...

    assert list(app.tasks) == ["found"]
    assert found.task_name == "found"
    with pytest.raises(BadTask):
        app.task(name="found")(print)


# -- tasks -------------------------------------------------------------------


def test_less_priority_goes_first(shop: QueueTasks) -> None:
    started.clear()
    holding(shop)
    for name, priority in [("last", 9), ("usual", 0), ("first", -5)]:
        shop.add_task("order", name, priority=priority)
    last = shop.add_task("order", "end", priority=50)
    gate.set()
    assert last is not None
    last.wait_result(WAIT_S)

    assert started == ["first", "usual", "last", "end"]
    with pytest.raises(BadOption, match="-100 to 100"):
        shop.add_task("order", "x", priority=101)


def test_a_task_tells_how_it_stands(shop: QueueTasks) -> None:
    running = holding(shop)
    waiting = shop.add_task("order", "x", priority=3)
    assert waiting is not None

    found = shop.get(waiting.uuid)

    assert found is not None
    assert (found.status, found.priority, found.args) == ("new", 3, ["x"])
    assert SyncResult(waiting.uuid, app=shop).result(timeout=0.01) is None
    shop.windlass_app.operations.cancel(JobId(str(waiting.uuid)))
    assert waiting.wait_result(WAIT_S).status == "cancel"  # type: ignore[union-attr]
    gate.set()
    assert running.wait_result(WAIT_S).returning == "released"


def test_what_a_task_cancels_is_cancelled_in_windlass(shop: QueueTasks) -> None:
    task = add(shop, "cancel", "out of\nstock")

    assert (task.status, task.cancel_reason, task.args) == (
        "cancel",
        "out of stock",
        ["out of\nstock"],
    )
    assert shop.windlass_app.job(str(task.uuid)).job().state is State.CANCELLED
    dead = shop.windlass_app.operations.dead_letters()
    assert "cancel" not in [letters.task for letters in dead]


def test_what_json_cannot_say_is_refused_where_it_is_said(shop: QueueTasks) -> None:
    with pytest.raises(NotEncodable, match=r"args\[1\]"):
        shop.add_task("order", 1, {1, 2})
    with pytest.raises(NotEncodable, match="when"):
        shop.add_task("order", when=float("nan"))
    assert "Infinity has no place in JSON" in add(shop, "endless").traceback
    assert "Expecting value" in add(shop, "undecodable").traceback


def test_a_task_that_nobody_here_knows_waits_for_who_does(
    shop: QueueTasks, caplog: pytest.LogCaptureFixture
) -> None:
    task = shop.add_task("ordr", 1, pieces=2)
    again = shop.add_task("ordr", 1)

    [told] = [record.message for record in caplog.records if record.name == "shop"]
    assert "did you mean 'order'" in told
    assert task is not None
    assert again is not None
    found = shop.get(task.uuid)
    assert found is not None
    assert found.status in ("new", "process")  # a worker looks at it, and gives it back
    assert (found.args, found.kwargs) == ([1], {"pieces": 2})


def test_a_task_of_another_app_in_the_store_is_none_of_this_one(shop: QueueTasks) -> None:
    other = QueueTasks("other", shop.windlass_app.settings.store)

    @other.task
    def order(name: str) -> None: ...

    task = order.add_task("elsewhere")

    assert shop.get(task.uuid) is None
    assert other.get(task.uuid).status == "new"  # type: ignore[union-attr]
    assert shop.ping()
    assert not other.ping()
    assert other.ping(server=False)
    other.windlass_app.close()


def test_what_is_asked_of_nothing_is_none(shop: QueueTasks) -> None:
    assert shop.get(uuid4()) is None
    with pytest.raises(ValueError):
        shop.get("nonsense")
    with pytest.raises(BadOption):
        SyncResult(app=shop).result()


# -- async apps --------------------------------------------------------------


async def test_an_async_app_gives_each_task_what_it_can_use(tmp_path: Path) -> None:
    app = AsyncQueueTasks("press", f"sqlite:///{tmp_path}/jobs.db")
    app.windlass_app.use_settings(**QUICK)
    threads = []

    @app.task(echo=True)
    async def pages(self: AsyncTask, n: int) -> Any:
        for page in range(n):
            await self.ctx.sleep(0)
            yield [page, type(self).__name__]

    @app.task(echo=True)
    def plain(self: SyncTask) -> list[Any]:
        threads.append(threading.current_thread())
        doubled = self.add_task(4, task_name="double", timeout=WAIT_S)
        return [doubled.returning, self.ctx.get_metadata().status]  # type: ignore[union-attr]

    @app.task(echo=True)
    async def told(self: AsyncTask) -> str:
        found = await self.ctx.get_metadata()
        assert found is not None
        return found.status

    @app.task
    async def double(n: int, till: Annotated[str, Depends(Till)]) -> int:
        assert till == "till"
        return 2 * n

    async with working(app.windlass_app):
        found = [await task.add_task(2, timeout=WAIT_S) for task in (pages, double)]
        found += [await task.add_task(timeout=WAIT_S) for task in (plain, told)]

    assert [task and task.returning for task in found] == [
        [[0, "AsyncTask"], [1, "AsyncTask"]],
        4,
        [8, "process"],
        "process",
    ]
    assert threads != [threading.main_thread()]


def test_a_plain_app_refuses_an_async_function() -> None:
    app = QueueTasks("plain", "sqlite:///unused.db")

    async def awaited() -> None: ...

    with pytest.raises(NotSupported, match=r"windlass\.contrib\.qtasks\.asyncio"):
        app.task(awaited)


# -- the process -------------------------------------------------------------


def test_a_shared_task_is_had_by_the_apps_before_and_after_it() -> None:
    before = QueueTasks("before", "sqlite:///unused.db")

    @shared_task
    def shared_by_all() -> None: ...

    @shared_task(awaiting=True)
    async def shared_and_awaited() -> None: ...

    after = QueueTasks("after", "sqlite:///unused.db")

    assert before.tasks["shared_by_all"] is after.tasks["shared_by_all"]
    assert isinstance(shared_by_all, SyncTask)
    assert isinstance(shared_and_awaited, AsyncTask)
    assert get_app() is after


def test_the_first_use_says_once_where_the_tasks_are_now(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINDLASS_STORE", f"sqlite:///{tmp_path}/elsewhere.db")
    app = QueueTasks("moved", "amqp://user:secret@host/vhost")
    before = [record for record in caplog.records if record.name == "moved"]

    with caplog.at_level(logging.INFO, "moved"):
        app.add_task("anything")
        app.add_task("anything")

    assert not before
    [line] = [record.message for record in caplog.records if "not used" in record.message]
    assert "***" in line
    assert "secret" not in line
    assert "elsewhere.db" in line
    app.windlass_app.close()


def test_a_broker_url_of_a_store_is_the_store(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/own.db"

    assert QueueTasks("own", url).windlass_app.settings.store == url


def test_how_many_run_at_once_is_said_by_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    unsaid = QueueTasks("unsaid", "sqlite:///unused.db")
    later = QueueTasks("later", "sqlite:///unused.db")
    later.config.max_tasks_process = 3
    monkeypatch.setenv("QTASKS_MAX_TASKS_PROCESS", "5")
    environment = QueueTasks("environment", "sqlite:///unused.db")

    assert unsaid.windlass_app.settings.concurrency == 16
    assert later.windlass_app.settings.concurrency == 3
    assert environment.windlass_app.settings.concurrency == 5


def test_attributes_of_the_config_may_be_added_and_watched() -> None:
    config, told = QueueConfig(), []
    config.subscribe(lambda _, key, value: told.append((key, value)))
    config.logs_default_level_server = logging.DEBUG
    config.own = "mine"

    assert told == [("logs_default_level_server", logging.DEBUG), ("own", "mine")]
    assert config.own == "mine"
    with pytest.raises(AttributeError):
        _ = config.absent


def test_stop_ends_run_forever(tmp_path: Path) -> None:
    app = QueueTasks("ended", f"sqlite:///{tmp_path}/jobs.db")
    app.windlass_app.use_settings(**QUICK)
    thread = threading.Thread(target=app.run_forever)
    thread.start()
    wait_until(app.ping)
    app.stop()
    thread.join(WAIT_S)

    assert not thread.is_alive()
    app.windlass_app.close()


def test_all_of_it_works_where_the_library_is_not_installed(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['qtasks'] = None\n"
        "from windlass.contrib.qtasks import QueueTasks\n"
        "from windlass.contrib.qtasks.asyncio import QueueTasks as AsyncQueueTasks\n"
        "from windlass.contrib.qtasks import executors, results, schemas\n"
        "from windlass.contrib.qtasks.utils import get_app, shared_task\n"
        f"app = QueueTasks('alone', 'sqlite:///{tmp_path}/jobs.db')\n"
        "print(app.add_task('anything').status)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert told.stdout == "new\n", told.stderr


# -- what refuses ------------------------------------------------------------

REFUSED = {
    "brokers.SyncRedisBroker": "WINDLASS_STORE",
    "storages.AsyncRedisStorage": "WINDLASS_STORE",
    "workers.SyncThreadWorker": "windlass worker",
    "starters.SyncStarter": "windlass worker",
    "timers.AsyncTimer": "docs/schedules.md",
    "stats.SyncStats": "windlass top",
    "events.SyncEvents": "observe",
    "plugins.AsyncState": "around_attempt",
    "plugins.states.AsyncState": "database",
    "tests.SyncTestCase": "windlass.testing",
    "utils.AsyncTaskUtils": "windlass.chain",
}


@pytest.mark.parametrize("path", REFUSED)
def test_an_import_of_what_is_not_there_says_what_is(path: str) -> None:
    module, _, name = path.rpartition(".")
    code = f"from windlass.contrib.qtasks.{module} import {name}"

    with pytest.raises(NotSupported, match=REFUSED[path]):
        exec(code)
    assert importlib.import_module(f"windlass.contrib.qtasks.{module}")


@pytest.mark.parametrize(
    ("feature", "use"),
    [
        ("broker=", lambda app: QueueTasks(broker=object())),
        ("worker=", lambda app: QueueTasks(worker=object())),
        ("events=", lambda app: AsyncQueueTasks(events=object())),
        ("app.broker", lambda app: app.broker),
        ("app.worker", lambda app: app.worker),
        ("app.events", lambda app: app.events),
        ("app.plugins", lambda app: app.plugins),
        ("add_plugin", lambda app: app.add_plugin(object())),
        ("flush_all", lambda app: app.flush_all()),
        ("starter=", lambda app: app.run_forever(starter=object())),
        ("delete_finished_tasks", lambda app: QueueConfig(delete_finished_tasks=True)),
        ("result_statuses_end", lambda app: setattr(app.config, "result_statuses_end", ["new"])),
        ("scope='broker'", lambda app: Depends(print, scope="broker")),
        ("plugin_error", lambda app: app.task(print).ctx.plugin_error()),
    ],
)
def test_a_feature_that_is_not_there_refuses_by_name(feature: str, use: Any) -> None:
    app = QueueTasks("refusing", "sqlite:///unused.db")

    with pytest.raises(NotSupported) as refusal:
        use(app)
    assert feature in str(refusal.value)
    assert refusal.value.instead


@pytest.mark.parametrize(
    "use",
    [
        lambda app: app.task(retry=1_000)(print),
        lambda app: app.task(priority=101)(print),
        lambda app: app.add_middleware(print),
        lambda app: app.add_middleware(Noting, position="around"),
        lambda app: QueueConfig(max_task_process=1),
        lambda app: QueueTasks(" padded "),
    ],
)
def test_what_cannot_be_kept_is_refused_at_once(use: Any) -> None:
    app = QueueTasks("refusing", "sqlite:///unused.db")

    with pytest.raises(WindlassError):
        use(app)


def wait_until(holds: Any) -> None:
    end = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


# -- wrong input says what is wrong -------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"retry": "x"}, {"retry_on_exc": ValueError}, {"retry_on_exc": ["ValueError"]},
        {"max_time": "x"}, {"max_time": -1}, {"decode": 3}, {"generate_handler": 3},
        {"executor": "x"}, {"middlewares_before": [3]}, {"middlewares_after": [3]}, {"name": 3},
    ],
    ids=str,
)  # fmt: skip
def test_an_option_of_a_task_with_a_wrong_value_is_refused(
    shop: QueueTasks, options: dict[str, Any]
) -> None:
    with pytest.raises(BadTask):
        shop.task(**options)(lambda: None)


@pytest.mark.parametrize("priority", [1_000, "high", True])
def test_a_priority_that_means_nothing_is_refused_as_it_was_given(
    shop: QueueTasks, priority: Any
) -> None:
    with pytest.raises(BadOption, match=f"priority = {priority!r}"):
        shop.add_task("anything", priority=priority)
    with pytest.raises(BadOption, match=f"priority = {priority!r}"):
        shop.task(name="urgent", priority=priority)(lambda: None)


def test_options_of_the_configuration_are_numbers_and_levels_may_be_names() -> None:
    assert QueueConfig(logs_default_level_server="debug").logs_default_level_server == 10
    for option in ("max_tasks_process", "task_default_priority", "logs_default_level_server"):
        with pytest.raises(BadOption, match=option):
            QueueConfig(**{option: "x"})


def test_what_is_no_router_or_no_function_is_refused(shop: QueueTasks) -> None:
    with pytest.raises(BadOption, match="SyncRouter"):
        shop.include_router(3)
    with pytest.raises(BadTask, match="function"):
        shop.task("named")(3)  # type: ignore[arg-type]
