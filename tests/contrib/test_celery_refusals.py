"""What the front end for Celery refuses, and where it differs; without a server."""

import json
import logging
import pickle
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import celery
import celery.canvas
import celery.result
import celery.schedules
import pytest
from celery.app.defaults import NAMESPACES, flatten

from tests.contrib.beside import worker_of
from windlass import BadOption, JobId, NotEncodable, PayloadTooLarge, State, cron
from windlass.contrib.celery import (
    AsyncResult,
    Celery,
    GroupResult,
    Signature,
    Task,
    chain,
    chord,
    group,
    registration,
    signature,
)
from windlass.contrib.celery.failures import carry_arguments, exception_of
from windlass.contrib.celery.known_settings import DEFAULTS, HARMLESS, REFUSED
from windlass.contrib.celery.schedules import crontab
from windlass.contrib.celery.settings import Conf
from windlass.contrib.celery.task_options import HARMLESS as HARMLESS_OPTIONS
from windlass.contrib.celery.task_options import MEANT as OPTIONS
from windlass.contrib.celery.task_options import REFUSED as REFUSED_OPTIONS
from windlass.core.capture import error_info
from windlass.core.lifecycle import upstream_error, upstream_job
from windlass.errors import BadTask, NotSupported, UnknownZone
from windlass.model.outcomes import ErrorInfo


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Celery]:
    with Celery("shop", broker=f"sqlite:///{tmp_path}/jobs.db") as made:

        @made.task(name="add")
        def add(x: int, y: int) -> int:
            return x + y

        @made.task(name="total")
        def total(*numbers: int, **more: int) -> list[Any]:
            return [list(numbers), more]

        @made.task(name="fail")
        def fail(words: list[str]) -> None:
            raise LookupError(*words)

        yield made


# -- nothing is silently ignored ---------------------------------------------


def test_each_setting_of_celery_is_meant_harmless_or_refused() -> None:
    real = {name for name, _ in flatten(NAMESPACES)}

    assert real - set(DEFAULTS) - HARMLESS - set(REFUSED) == set()
    assert not set(DEFAULTS) & HARMLESS
    assert not set(REFUSED) & (set(DEFAULTS) | HARMLESS)


def test_each_option_of_a_task_of_celery_is_meant_harmless_or_refused() -> None:
    named = {name for name, _ in celery.Task.from_config}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of its own attributes are on their way out
        attributes = {
            name
            for name in dir(celery.Task)
            if not name.startswith("_")
            and isinstance(getattr(celery.Task, name), bool | int | float | str | tuple | None)
        }

    assert (named | attributes) - {"from_config"} <= OPTIONS | HARMLESS_OPTIONS | set(
        REFUSED_OPTIONS
    )


REALS: list[tuple[str, Any, set[str]]] = [
    ("result", celery.result.AsyncResult, set()),
    ("group result", celery.result.GroupResult, {"maybe_reraise"}),
    ("signature", celery.canvas.Signature,
     {"TYPES", "append_to_list_option", "extend_list_option", "register_type", "reprcall"}),
    ("task", celery.Task,
     {"OperationalError", "Request", "Strategy", "add_around", "from_config", "send_events",
      "resultrepr_maxsize", "subtask_from_request", "trail", "typing", "retry_on_worker_lost",
      "store_eager_result",
      "store_errors_even_if_ignored", "reject_on_worker_lost", "acks_on_failure",
      "acks_on_failure_or_timeout", "acks_on_timeout"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "real", "inner"), REALS, ids=[each[0] for each in REALS])
def test_what_celerys_objects_have_is_there_or_says_what_to_use(
    app: Celery, kind: str, real: Any, inner: set[str]
) -> None:
    """Besides: what a program has no use for, which is an AttributeError as ever."""
    ours: Any = {
        "result": AsyncResult("a", app=app),
        "group result": GroupResult("g", app=app),
        "signature": app.tasks["add"].s(1, 2),
        "task": app.tasks["add"],
    }[kind]
    missing = set()
    for name in dir(real):
        if name.startswith("_"):
            continue
        try:
            getattr(ours, name)
        except NotSupported:
            continue
        except AttributeError:
            missing.add(name)

    assert missing == inner


def called(app: Celery, name: str = "add") -> Task:
    return app.tasks[name]


def defining(**options: Any) -> Callable[[Celery], Any]:
    return lambda app: app.task(lambda: None, name="new", **options)


async def asynchronous() -> None: ...


REFUSALS: list[tuple[str, Callable[[Celery], Any], str]] = [
    ("a serializer", lambda app: app.conf.update(task_serializer="pickle"), "json"),
    ("an accepted content", lambda app: app.conf.update(accept_content=["pickle"]), "json"),
    ("a scheduler", lambda app: app.conf.update(beat_scheduler="x"), "--scheduler"),
    ("a pool", lambda app: app.conf.update(worker_pool="gevent"), "prefork"),
    ("a local clock", lambda app: app.conf.update(enable_utc=False), "timezone"),
    ("an async task", lambda app: app.task(asynchronous), "windlass_app.task"),
    ("a routing key", defining(routing_key="a"), "queue"),
    ("a pickling task", defining(serializer="pickle"), "json"),
    ("an unknown option", defining(retries=3), "max_retries"),
    ("a routing key of a call", lambda app: called(app).apply_async((1, 2), routing_key="a"),
     "queue"),
    ("a limit of a call", lambda app: called(app).apply_async((1, 2), time_limit=1), "time_limit"),
    ("an unknown option of a call", lambda app: called(app).apply_async((1, 2), conutdown=1),
     "countdown"),
    ("stamps", lambda app: called(app).s(1, 2).stamp(a=1), "headers"),
    ("freeze", lambda app: called(app).s(1, 2).freeze(), "apply_async"),
    ("forget", lambda app: AsyncResult("a", app=app).forget(), "retention_s"),
    ("children", lambda app: AsyncResult("a", app=app).children, "replace"),
    ("then", lambda app: AsyncResult("a", app=app).then(print), "link"),
    ("inspect", lambda app: app.control.inspect(), "windlass top"),
    ("purge", lambda app: app.control.purge(), "windlass jobs"),
    ("start", lambda app: app.worker_main(), "windlass worker"),
    ("an errback of a chord",
     lambda app: chord([called(app).s(1, 2)], called(app, "total").s()).apply_async(
         link_error=called(app, "total").s()), "header"),
    ("an errback of a body",
     lambda app: chord([called(app).s(1, 2)], called(app, "total").s().on_error(
         called(app, "total").s())).apply_async(), "header"),
    ("an expiry that begins later",
     lambda app: chain(called(app).s(1, 2), called(app).s(3).set(expires=5)).apply_async(),
     "datetime"),
    ("a part that nobody knows",
     lambda app: (called(app).s(1, 2) | signature("nowhere", app=app)).apply_async(), "import"),
    ("an entry with options",
     lambda app: scheduling(app, {"task": "add", "schedule": 1, "args": (1, 2),
                                  "options": {"queue": "x"}}), "of the task"),
]  # fmt: skip


def scheduling(app: Celery, entry: dict[str, Any]) -> Any:
    app.conf.beat_schedule = {"entry": entry}
    return app.windlass_app.schedules.declared()


@pytest.mark.parametrize(("act", "word"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS])
def test_what_is_not_supported_says_so_and_what_to_use(
    app: Celery, act: Callable[[Celery], Any], word: str
) -> None:
    with pytest.raises(NotSupported, match=word) as refused:
        act(app)

    assert refused.value.library == "celery"
    assert app.windlass_registry.operations.jobs() == []  # not even half of it was stored


@pytest.mark.parametrize("name", ["task_prerun", "worker_ready", "task_failure"])
def test_a_signal_is_refused_where_it_is_imported(name: str) -> None:
    with pytest.raises(NotSupported, match="windlass_app"):
        exec(f"from windlass.contrib.celery.signals import {name}")


@pytest.mark.parametrize("name", ["Ignore", "Reject"])
def test_exceptions_without_a_meaning_are_refused_where_they_are_imported(name: str) -> None:
    with pytest.raises(NotSupported, match="windlass"):
        exec(f"from windlass.contrib.celery.exceptions import {name}")


def test_settings_by_their_old_names_are_refused() -> None:
    class Old:
        CELERY_TASK_SERIALIZER = "json"
        BROKER_URL = "redis://127.0.0.1:1/0"

    with pytest.raises(NotSupported, match="small letters"):
        Conf().load(Old)


def test_a_mistyped_setting_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(BadOption, match="task_default_queue"):
        Conf().update(task_defautl_queue="a")


def test_what_concerns_how_tasks_are_made_known_is_said_before_that(app: Celery) -> None:
    app.finalize()

    with pytest.raises(BadOption, match="before the first use"):
        app.conf.beat_schedule = {"a": {"task": "add", "schedule": 1}}


def test_a_task_with_parameters_that_windlass_cannot_name_is_refused(app: Celery) -> None:
    @app.task(name="clash")
    def clash(*rest: int, rest_0: int = 1) -> None: ...

    with pytest.raises((NotSupported, BadTask), match="rest_0"):
        app.finalize()


# -- it stands by itself ------------------------------------------------------


def test_it_works_where_neither_celery_nor_kombu_is_installed(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules.update(celery=None, kombu=None, billiard=None, vine=None)\n"
        "from windlass.contrib.celery import Celery, shared_task, chain\n"
        "from windlass.contrib.celery.result import AsyncResult\n"
        "from windlass.contrib.celery.app.task import Task\n"
        "from windlass.contrib.celery.utils.log import get_task_logger\n"
        "app = Celery('a', broker='sqlite:///jobs.db')\n"
        "@shared_task\n"
        "def double(x): return 2 * x\n"
        "print(double.delay(2).state, chain(double.s(1), double.s()).apply().get())\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )

    assert done.stdout == "PENDING 4\n", done.stderr


@pytest.mark.parametrize(
    "broker",
    ["redis://ann:secret@h/0", ["amqp://ann:secret@a//", "amqp://ann:secret@b//"]],
)
def test_the_first_call_says_which_broker_is_passed_over(
    broker: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    windlass = {"store": f"sqlite:///{tmp_path}/jobs.db"}
    with Celery("shop", broker=broker, windlass=windlass) as app:
        task = app.task(lambda: None, name="nothing")
        with caplog.at_level(logging.INFO, "windlass.contrib.celery"):
            task.delay()
            task.delay()

    assert app.celery_broker == (broker if isinstance(broker, str) else ";".join(broker))
    [record] = caplog.records
    assert "jobs.db" in record.getMessage()
    assert "not used: " in record.getMessage()
    assert "secret" not in record.getMessage()


def test_jobs_name_their_arguments_as_the_function_does(app: Celery) -> None:
    ids = [
        called(app).delay(1, y=2).id,
        called(app, "total").delay(1, 2, a=3).id,
        chain(called(app).s(1, 2), called(app).s(3)).apply_async().id,
    ]
    jobs = [app.windlass_app.operations.get(each) for each in ids]

    assert [json.loads(job.payload) for job in jobs] == [
        {"x": 1, "y": 2},
        {"numbers": [1, 2], "more": {"a": 3}},
        {"y": 3},
    ]
    assert {job.task for job in jobs} == {"add", "total"}
    assert {job.queue for job in jobs} == {"celery"}


def test_compositions_survive_json_and_mean_the_same(app: Celery) -> None:
    add, total = called(app), called(app, "total")
    wholes: list[Signature] = [
        add.s(1, 2) | add.s(3),
        group(add.s(1, 2), add.s(1, 2) | group(add.s(1), add.s(2))),
        chord([add.s(1, 2), add.s(3, 4)], total.s() | add.si(1, 1)),
        group(add.s(1, 2)) | total.s(scale=2),
        add.chunks([(1, 2), (3, 4)], 1) | total.s(),  # at once a chord
    ]
    sizes = []
    for whole in wholes:
        again = Signature.from_dict(json.loads(json.dumps(whole)), app=app)

        assert (type(again), json.dumps(again)) == (type(whole), json.dumps(whole))
        before = len(app.windlass_app.operations.jobs())
        again.apply_async()
        sizes.append(len(app.windlass_app.operations.jobs()) - before)
    assert sizes == [2, 4, 4, 2, 3]


def test_what_cannot_be_json_is_refused_by_its_name(app: Celery) -> None:
    with pytest.raises(NotEncodable, match="'y' of task 'add'"):
        called(app).delay(1, {1, 2})


# -- where it is better, and where it differs ---------------------------------


def test_a_task_that_only_the_workers_know_can_be_called_by_its_name(
    app: Celery, tmp_path: Path
) -> None:
    with Celery("other", broker=app.conf.broker_url, set_as_current=False) as caller:
        jobs = [
            caller.send_task("add", (1,), {"y": 2}),
            caller.send_task("total", (1, 2), {"a": 3}, countdown=0.1, queue="celery"),
        ]
        with worker_of(app.windlass_app):
            values = [job.get(timeout=20) for job in jobs]

    assert values == [3, [[1, 2], {"a": 3}]]


def test_a_chain_can_be_revoked_as_a_whole_and_nobody_is_left_waiting(app: Celery) -> None:
    last = chain(called(app).s(1, 2), called(app).s(3), called(app).s(4)).apply_async(countdown=60)
    last.parent.parent.revoke()

    assert last.ready()
    assert last.state in ("REVOKED", "FAILURE")


def test_a_group_is_stored_in_one_piece_or_not_at_all(app: Celery) -> None:
    with pytest.raises(TypeError, match="add"):
        group(called(app).s(1, 2), called(app).s(1, 2, 3)).apply_async()

    assert app.windlass_app.operations.jobs() == []


def test_priorities_of_redis_keep_their_order_with_the_smaller_number_first(
    tmp_path: Path,
) -> None:
    def priority_with(broker: str) -> int:
        windlass = {"store": f"sqlite:///{tmp_path}/jobs.db"}
        with Celery("shop", broker=broker, windlass=windlass) as app:
            job = app.task(lambda: None, name="nothing").apply_async(priority=7)
            return app.windlass_app.operations.get(job.id).priority

    assert priority_with("redis://127.0.0.1:1/0") == -7
    assert priority_with("amqp://127.0.0.1:1") == 7


def test_a_prefork_pool_means_child_processes_and_their_jobs_can_be_terminated(
    tmp_path: Path,
) -> None:
    with Celery("shop", broker=f"sqlite:///{tmp_path}/jobs.db") as app:
        app.conf.worker_pool = "prefork"
        task = app.task(lambda: None, name="nothing")

        assert app.windlass_app.specs["nothing"].isolation == "process"
        assert task.isolation == "process"
        app.check_stoppable("nothing")


def test_to_terminate_what_runs_on_a_thread_is_refused(app: Celery) -> None:
    app.finalize()

    with pytest.raises(NotSupported, match="prefork"):
        app.check_stoppable("add")


def test_settings_come_from_a_module_with_a_namespace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop_settings.py").write_text(
        "CELERY_TASK_ALWAYS_EAGER = True\n"
        "CELERY_TASK_ROUTES = {'mail.*': {'queue': 'post'}, 'add': 'sums'}\n"
        "CELERY_BROKER_HEARTBEAT = 10\n"
        "DEBUG = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    app = Celery("shop", broker=f"sqlite:///{tmp_path}/jobs.db")
    app.config_from_object("shop_settings", namespace="CELERY")

    assert app.conf.task_always_eager
    assert app.conf.queue_of("mail.send", None) == "post"
    assert app.conf.queue_of("add", None) == "sums"
    assert app.conf.queue_of("other", None) == "celery"
    assert set(app.windlass_app.queues()) == {"default", "celery", "post", "sums"}


def test_the_parts_of_a_crontab_by_place_and_by_name_are_those_of_celery() -> None:
    real = celery.schedules.crontab(1, 2, "Monday,thu", "4-5", "January")
    parts = [real._orig_minute, real._orig_hour, real._orig_day_of_month,
             real._orig_month_of_year, real._orig_day_of_week]  # fmt: skip
    ours = crontab(1, 2, "Monday,thu", "4-5", "January")

    assert ours.expression == "1 2 4-5 jan mon,thu"
    assert [str(part).lower() for part in parts] == ["1", "2", "4-5", "january", "monday,thu"]
    assert cron(ours.expression, days="both") == ours.trigger("UTC")


def test_modules_are_discovered_before_the_first_use(
    app: Celery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("stall", "cellar"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / "stall" / "tasks.py").write_text(
        "from windlass.contrib.celery import shared_task\n"
        "@shared_task\ndef open_up():\n    return 'open'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    app.autodiscover_tasks(["stall", "cellar"])

    assert "stall.tasks" not in sys.modules
    assert "stall.tasks.open_up" in app.windlass_app.specs


def test_the_schedules_of_beat_become_schedules_of_windlass(app: Celery) -> None:
    app.conf.timezone = "Europe/Berlin"
    app.conf.beat_schedule = {
        "sums": {"task": "add", "schedule": timedelta(minutes=5), "args": (1, 2)},
        "mondays": {
            "task": "total",
            "schedule": crontab(minute=0, hour="*/3", day_of_week="mon", day_of_month="1-7"),
            "args": (1,),
        },
    }
    declared = {each.name: each for each in app.windlass_app.schedules.declared()}

    assert json.loads(declared["sums"].call.payload) == {"x": 1, "y": 2}
    assert declared["mondays"].rule.trigger.expression == "0 */3 1-7 * mon"  # type: ignore[union-attr]
    assert declared["mondays"].rule.trigger.zone == "Europe/Berlin"  # type: ignore[union-attr]
    assert declared["mondays"].rule.trigger.days == "both"  # type: ignore[union-attr]


def test_a_rate_limit_holds_for_the_whole_fleet(app: Celery) -> None:
    app.task(lambda: None, name="seldom", rate_limit="100/m")

    [limit] = app.windlass_app.specs["seldom"].lanes.limits  # type: ignore[union-attr]
    assert (limit.most, limit.per) == (100, 60.0)  # type: ignore[union-attr]


def test_retries_go_on_beyond_what_a_policy_counts(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "COUNTED_MAX", 2)

    @app.task(name="stubborn", bind=True, max_retries=None)
    def stubborn(self: Any) -> int:
        if self.request.retries < 5:
            raise self.retry(countdown=0)
        return int(self.request.retries)

    with worker_of(app.windlass_app):
        value = stubborn.delay().get(timeout=20)

    assert value == 5


def test_an_id_of_ones_own_is_taken_once(app: Celery) -> None:
    called(app).apply_async((1, 2), task_id="the first")

    with pytest.raises(BadOption, match="the first"):
        called(app).apply_async((3, 4), task_id="the first")


def test_errbacks_that_are_too_large_to_travel_along_are_refused(app: Celery) -> None:
    errback = called(app, "total").s(*range(4_000))

    with pytest.raises(PayloadTooLarge, match="headers"):
        called(app).apply_async((1, 2), link_error=errback)


# -- exceptions are made of data, with care -----------------------------------


def test_an_exception_comes_back_with_its_arguments() -> None:
    try:
        raise KeyError("a", 3)
    except KeyError as error:
        carry_arguments(error)
        told = error_info(error)

    made = exception_of(told)
    assert (type(made), made.args) == (KeyError, ("a", 3))
    assert "in test_an_exception_comes_back" in str(made.__cause__)


@pytest.mark.parametrize(
    "name",
    ["os.system", "builtins.eval", "SystemExit", "KeyboardInterrupt", "unheard.of.Error", "", "."],
)
def test_only_exceptions_that_are_loaded_are_made_and_nothing_is_imported(name: str) -> None:
    before = set(sys.modules)
    made = exception_of(ErrorInfo(name, "rm -rf /"))

    assert isinstance(made, Exception)
    assert type(made).__mro__[1].__name__ == "TaskError"
    assert set(sys.modules) == before


def test_what_is_refused_survives_the_way_to_another_process() -> None:
    refused = NotSupported("celery", "signals", "observers")

    assert str(pickle.loads(pickle.dumps(refused))) == str(refused)


def test_the_job_because_of_which_another_failed_is_read_as_it_was_written() -> None:
    error = upstream_error(JobId("abc"), "a task of mine", State.FAILED, "KeyError")

    assert upstream_job(error) == "abc"
    assert upstream_job(ErrorInfo("KeyError", "job abc of task")) is None


def test_an_error_with_arguments_of_any_kind_is_told(app: Celery) -> None:
    job = called(app, "fail").delay(["a", "b"])
    with worker_of(app.windlass_app):
        error = job.get(timeout=20, propagate=False)

    assert (type(error), error.args) == (LookupError, ("a", "b"))
    assert app.windlass_app.operations.get(job.id).state is State.FAILED
    assert "arguments for celery" not in (job.traceback or "")


# -- wrong input says what is wrong -------------------------------------------

WRONG_SETTINGS: list[tuple[str, Any]] = [
    ("worker_concurrency", "many"), ("worker_max_tasks_per_child", -1),
    ("task_time_limit", "300"), ("task_soft_time_limit", timedelta(seconds=3)),
    ("result_expires", "1d"), ("timezone", 3), ("timezone", "Mars/Olympus"),
    ("task_routes", 3), ("task_routes", {"a": 3}), ("task_routes", [("a",)]),
    ("task_routes", {3: "a"}), ("task_queues", "main"), ("task_default_queue", ""),
    ("task_default_priority", "high"), ("beat_schedule", []), ("beat_schedule", {"a": 3}),
    ("beat_schedule", {"a": {"task": "add"}}), ("task_annotations", {"*": 3}), ("broker_url", 3),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG_SETTINGS)
def test_a_setting_with_a_wrong_value_is_refused_where_it_is_set(name: str, value: Any) -> None:
    with pytest.raises((BadOption, UnknownZone), match="Mars" if value == "Mars/Olympus" else name):
        Conf()[name] = value


WRONG_OPTIONS: list[dict[str, Any]] = [
    {"max_retries": "x"}, {"autoretry_for": ValueError}, {"autoretry_for": ("ValueError",)},
    {"dont_autoretry_for": [3]}, {"retry_kwargs": {"max_retry": 3}}, {"retry_kwargs": 3},
    {"retry_backoff": "x"}, {"retry_backoff_max": None.__class__}, {"default_retry_delay": "x"},
    {"expires": "x"}, {"soft_time_limit": timedelta(1)}, {"time_limit": -1}, {"queue": ""},
    {"base": dict}, {"priority": 0.5},
]  # fmt: skip


@pytest.mark.parametrize("options", WRONG_OPTIONS, ids=lambda options: f"{options}"[:40])
def test_an_option_of_a_task_with_a_wrong_value_is_refused(
    app: Celery, options: dict[str, Any]
) -> None:
    with pytest.raises(BadTask, match=next(iter(options))):
        defining(**options)(app).delay()


WRONG_CALLS: list[tuple[Callable[[Celery], Any], type[Exception], str]] = [
    (lambda app: called(app).apply_async("ab"), TypeError, "list or a tuple"),
    (lambda app: called(app).apply_async((1, 2), cast(Any, [1])), TypeError, "are a dict"),
    (lambda app: called(app).apply_async((1, 2), countdown="soon"), BadOption, "countdown"),
    (lambda app: called(app).apply_async((1, 2), countdown=1e12), BadOption, "hundred years"),
    (lambda app: called(app).apply_async((1, 2), countdown=float("nan")), BadOption, "finite"),
    (lambda app: called(app).apply_async((1, 2), eta="tomorrow"), BadOption, "eta"),
    (lambda app: called(app).apply_async((1, 2), expires="soon"), BadOption, "expires"),
    (lambda app: called(app).apply_async((1, 2), priority="high"), BadOption, "priority"),
    (lambda app: called(app).apply_async((1, 2), headers=[1]), BadOption, "headers"),
    (lambda app: called(app).apply_async((1, 2), headers={"a": print}), BadOption, "JSON"),
    (lambda app: called(app).apply_async((1, 2), link=print), TypeError, "no signature"),
    (lambda app: called(app).apply_async((1, 2), link_error="add"), TypeError, "no signature"),
    (lambda app: chord([called(app).s(1, 2)])("total"), TypeError, "no signature"),
    (lambda app: signature(None, app=app).delay(), TypeError, "no task"),
    (lambda app: signature({"task": "add"}, app=app), TypeError, "no signature"),
    (lambda app: app.send_task(3), TypeError, "no task"),  # type: ignore[arg-type]
    (lambda app: app.add_periodic_task(1, called(app)), TypeError, "no signature"),  # type: ignore
    (lambda app: AsyncResult("a", app=app).get(timeout="x"), BadOption, "timeout"),  # type: ignore
]


@pytest.mark.parametrize(("act", "kind", "word"), WRONG_CALLS)
def test_a_wrong_call_says_what_is_wrong_and_stores_nothing(
    app: Celery, act: Callable[[Celery], Any], kind: type[Exception], word: str
) -> None:
    with pytest.raises(kind, match=word):
        act(app)

    assert app.windlass_registry.operations.jobs() == []


def test_a_mistyped_setting_in_a_module_is_refused_and_its_other_names_are_not() -> None:
    class Settings:
        task_seriliazer = "json"

    class Helpers:
        task_colours_of_the_shop = 3

    Conf().load(Helpers)
    with pytest.raises(BadOption, match="task_serializer"):
        Conf().load(Settings)


def test_modules_to_import_may_be_named_as_one_text() -> None:
    conf = Conf()
    conf.update(imports="shop.tasks", include=["a", "b"])

    assert (conf.imports, conf.include) == (("shop.tasks",), ("a", "b"))


ROUTES: list[Any] = [
    {"t.*": {"queue": "glob", "priority": 3}, "t.exact": "exact", "t.q?": "question"},
    [{"*.exact": "first"}, {"t.exact": "second"}],
    [[("t.e*", "pair"), (re.compile("t.[qx]"), {"queue": "expression"})]],
    {"t.exact.longer": "longer"},
]


TASKS: dict[str, dict[str, Any]] = {
    "t.exact": {}, "t.qa": {}, "t.own": {"queue": "own", "priority": 7}, "t.x": {"priority": 7},
    "other": {},
}  # fmt: skip


def nothing() -> None: ...


@pytest.mark.parametrize("routes", ROUTES)
def test_calls_are_routed_as_celery_routes_them(routes: Any) -> None:
    real, ours = celery.Celery(broker="memory://"), Celery(broker="amqp://", set_as_current=False)
    told = []
    for app in (real, ours):
        app.conf.task_routes = routes
        for name, options in TASKS.items():
            app.task(nothing, name=name, **options)
    for name in TASKS:
        own = real.tasks[name]._get_exec_options()
        routed = real.amqp.router.route({k: v for k, v in own.items() if v is not None}, name)
        told.append((routed["queue"].name, routed.get("priority")))
    found = [ours.conf.options_of(name, ours.tasks[name]) for name in TASKS]

    assert [(each["queue"], each.get("priority")) for each in found] == told


def test_annotations_set_options_and_handlers_of_tasks_and_nothing_else(app: Celery) -> None:
    seen = []

    def on_success(self: Task, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        seen.append((self.name, retval))

    app.conf.task_annotations = {"add": {"on_success": on_success, "max_retries": 7}}
    app.finalize()
    called(app).apply((1, 2))

    assert seen == [("add", 3)]
    assert called(app).max_retries == 7

    other = Celery("other", windlass={"store": "sqlite:///none.db"}, set_as_current=False)
    other.conf.task_annotations = {"*": {"rate_limt": "1/s"}}
    other.task(lambda: None, name="a")
    with pytest.raises(NotSupported, match="rate_limt"):
        other.finalize()
