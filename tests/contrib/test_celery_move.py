"""The day of the move: Celery's queues are drained into the same code on the front end for it."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
import redis
from celery import Celery

from tests.app.live import WAIT_S
from tests.contrib.beside import worker_of
from tests.contrib.celery_move import SHORT, end_of, new_shop
from tests.servers import RedisServer
from windlass import BadOption
from windlass.contrib import celery as front
from windlass.contrib.celery.brokers import Delivery
from windlass.contrib.celery.drain import CeleryDrain, DrainReport
from windlass.contrib.celery.front_intake import FrontIntake
from windlass.contrib.celery.intake import Plan
from windlass.contrib.celery.messages import Unfit, read_call
from windlass.errors import TaskNotFound

ROOT = Path(__file__).parents[2]
MANY = 2_000
SHOP = "tests.contrib.celery_move"
CELERY = ("celery", "-A", f"{SHOP}:old", "worker", "--pool", "threads", "--without-gossip",
          "--without-mingle", "-Q", "move,move-slow")  # fmt: skip
DRAIN = ("windlass.contrib.celery.drain", f"{SHOP}:app")

Calls = dict[str, tuple[list[str], str | None]]  # the ids of each call, and of its group
Look = Callable[[list[str]], dict[str, Any]]


@contextmanager
def process(*arguments: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    started = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, "C_FORCE_ROOT": "1", **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if arguments[0] != SHOP else subprocess.DEVNULL,
        text=True,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def told_by(*arguments: str, given: Any = None, **environment: str) -> Any:
    """Run the shop as a program; return what it prints."""
    with process(SHOP, *arguments, **environment) as running:
        out, _ = running.communicate(json.dumps(given), timeout=60)
    return json.loads(out)


def seen(calls: Calls, look: Look) -> dict[str, Any]:
    """Return state and value of all that was sent, with names in place of the ids."""
    names = {i: f"<{what} {n}>" for what, (ids, _) in calls.items() for n, i in enumerate(ids)}
    names |= {group: f"<{what}>" for what, (_, group) in calls.items() if group}
    ends = look([i for ids, _ in calls.values() for i in ids])
    text = json.dumps({what: [ends[i] for i in ids] for what, (ids, _) in calls.items()})
    for task_id, name in names.items():
        text = text.replace(task_id, name)
    told: dict[str, Any] = json.loads(text)
    return told


def lines_of(notes: Path, count: int) -> list[str]:
    end = time.monotonic() + WAIT_S
    while len(lines := notes.read_text().splitlines()) < count and time.monotonic() < end:
        time.sleep(0.02)
    return sorted(lines)


@dataclass
class Move:
    """What was seen.

    real, moved: what became of each call, on the real Celery and after the move; and the notes.
    stays:       the ids of what is to stay; stayed: what became of it on the real Celery.
    many:        what became of MANY additions.
    """

    real: tuple[dict[str, Any], list[str]]
    moved: tuple[dict[str, Any], list[str]]
    stays: Calls
    stayed: dict[str, Any]
    many: list[Any]
    report: str
    jobs: dict[str, int]


def kill_a_drain(app: Any, env: dict[str, str]) -> None:
    """Begin a drain, and kill it when it has taken a third."""
    app.windlass_app.migrate()
    with process(*DRAIN, **env) as drain:
        while sum(app.windlass_app.operations.counts().values()) < MANY / 3:
            assert drain.poll() is None, drain.communicate()[0]
            time.sleep(0.002)
        drain.send_signal(signal.SIGKILL)
    time.sleep(1.1)  # what it had reserved comes back


@pytest.fixture(scope="module")
def move(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Move:
    folder = tmp_path_factory.mktemp("move")
    brokers = [redis_server.url(number) for number in (12, 13)]
    for url in brokers:
        with redis.Redis.from_url(url) as client:
            client.flushdb()
    envs = [
        {"MOVE_BROKER": url, "MOVE_BACKEND": url, "MOVE_STORE": f"sqlite:///{folder}/jobs.db",
         "MOVE_NOTES": str(folder / f"notes-{n}")}
        for n, url in enumerate(brokers)
    ]  # fmt: skip
    notes = [Path(env["MOVE_NOTES"]) for env in envs]
    for path in notes:
        path.touch()

    with process(*CELERY, **envs[0]):
        ran = told_by("run", **envs[0])
        real = seen(ran["calls"], lambda ids: ran["ends"]), lines_of(notes[0], 3)
    with pytest.MonkeyPatch.context() as patch, new_shop(brokers[1], envs[1]["MOVE_STORE"]) as app:
        sent = told_by("send", str(MANY), **envs[1])
        kill_a_drain(app, envs[1])
        with process(*DRAIN, "--until-empty", **envs[1]) as drain:
            report = drain.communicate(timeout=60)[0]
        patch.setenv("MOVE_NOTES", str(notes[1]))
        with worker_of(app.windlass_app):
            ended = seen(sent["calls"], lambda ids: {i: end_of(app, i) for i in ids})
            many = [end_of(app, i) for i in sent["many"]]
            moved = ended, lines_of(notes[1], 3)
        jobs = {str(state): n for state, n in app.windlass_app.operations.counts().items()}
    with process(*CELERY, **envs[1]):
        stayed = seen(sent["stays"], lambda ids: told_by("ask", given=ids, **envs[1]))
    return Move(real, moved, sent["stays"], stayed, many, report, jobs)


def test_each_call_ends_under_its_old_id_as_on_the_real_celery(move: Move) -> None:
    (real, notes_of_real), (moved, notes) = move.real, move.moved

    assert len(real) == 27
    for what, told in real.items():
        assert {what: moved[what]} == {what: told}
    assert notes == notes_of_real == ["('failed',)", "(2, 'linked')", "(3, 'chained')"]


def test_a_drain_that_is_killed_in_the_middle_loses_nothing_and_doubles_nothing(move: Move) -> None:
    by_links = 3 + 1  # jobs that have no id of Celery's: what was linked, for success and failure
    known = sum(len(ends) for ends in move.moved[0].values())

    assert move.many == [["SUCCESS", n + n] for n in range(MANY)]
    assert sum(move.jobs.values()) == MANY + known + by_links


def test_what_the_front_end_cannot_lay_stays_and_a_celery_worker_still_runs_it(move: Move) -> None:
    ids = {what: call_ids[-1] for what, (call_ids, _) in move.stays.items()}

    assert "left: 6\n" in move.report
    for what, reason in (
        ("a chain in a chord in flight", "what follows it is in the header of a chord, which"),
        ("a chord in flight", "it is the header of a chord, which counts in Celery's result back"),
        ("expires within a chain", "expires=seconds of a task that waits for others of celery is"),
        ("no such task", "the app has no task 'move.retired'"),
        ("arguments that do not fit", "add(): too many positional arguments"),
    ):
        assert re.search(f"{ids[what]} of task .*: {re.escape(reason)}", move.report), what
    assert {what: ends[0] for what, ends in move.stayed.items()} == {
        "a chord in flight": ["SUCCESS", 6],
        "a chain in a chord in flight": ["SUCCESS", 5],
        "expires within a chain": ["SUCCESS", 3],
        "no such task": ["SUCCESS", ["retired"]],
        "arguments that do not fit": ["FAILURE", ANY],
    }


# -- what comes again --------------------------------------------------------


@pytest.mark.parametrize("store_url", ["sqlite", "postgres"], indirect=True)
def test_what_comes_again_is_the_same_jobs_also_if_they_have_ended_meanwhile(
    redis_server: RedisServer,
    store_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = redis_server.url(13)
    with redis.Redis.from_url(broker) as client:
        client.flushdb()
    notes = tmp_path / "notes"
    notes.touch()
    monkeypatch.setenv("MOVE_NOTES", str(notes))
    with Celery(broker=broker, set_as_current=False) as old, new_shop(broker, store_url) as app:

        def send(*args: Any, task: str = "move.add", **options: Any) -> None:
            old.send_task(task, args, queue="move", **options)

        def drained() -> DrainReport:
            return asyncio.run(drain_once(app))

        note, add = old.signature("move.note"), old.signature("move.add")
        chained = [add.clone((7,), task_id="last"), add.clone((5,), task_id="middle")]
        told = []
        for _ in range(2):  # as after a crash between the store and the ack
            send(1, 2, task_id="a", link=[note.clone(("linked",))])
            send(1, 1, task_id="first", chain=chained)
            send(1, 1, task_id="many", link=[note.clone((str(n),)) for n in range(3)])
            told.append(drained())
            with worker_of(app.windlass_app):
                ends = {i: end_of(app, i) for i in ("a", "first", "middle", "last", "many")}
                lines_of(notes, 4)
        before = notes.read_text()
        send(5, 9, task_id="own")  # a step whose own message comes before that of the first one
        assert drained().taken == 1
        send(1, 1, task_id="late", chain=[add.clone((5,), task_id="own")])
        assert drained().taken == 1
        with worker_of(app.windlass_app):
            assert [end_of(app, i)[1] for i in ("late", "own")] == [2, 14]
        send(1, 3, task_id="a")  # other arguments
        send("x", task="move.note", task_id="middle")  # another task
        send(5, 1, task_id="first")
        left = drained().left

        assert [(each.taken, each.left) for each in told] == [(3, ()), (3, ())]
        assert {i: value for i, (_, value) in ends.items()} == {
            "a": 3, "first": 2, "middle": 7, "last": 14, "many": 2
        }  # fmt: skip
        assert sorted(before.splitlines()) == ["(2, '0')", "(2, '1')", "(2, '2')", "(3, 'linked')"]
        assert sum(app.windlass_app.operations.counts().values()) == 5 + 4 + 2
        assert {each.id for each in left} == {"a", "middle", "first"}
        assert all(each.reason.startswith("KeyConflict") for each in left)


async def drain_once(app: Any) -> DrainReport:
    async with app.windlass_app.session():
        return await CeleryDrain().until_empty(app)


# -- how a message is read, without a server ---------------------------------


@pytest.fixture
def shop() -> Iterator[front.Celery]:
    with new_shop("redis://:secret@nowhere/0", "memory://") as app:
        app.windlass_app.task(name="move.ported")(ported)
        yield app


def ported(number: int) -> int:
    return number


def planned(
    shop: front.Celery,
    args: Any = (),
    kwargs: Any = None,
    embed: Any = None,
    *,
    delivery: Delivery | None = None,
    names: Any = None,
    **headers: Any,
) -> Plan:
    facts = {"task": "move.add", "id": "7", **headers}
    call = read_call(facts, [list(args), kwargs or {}, embed or {}])
    return FrontIntake(shop, names or {}).planned(call, delivery or Delivery("move", 1, None))


def step(task: str = "move.add", *args: Any, **more: Any) -> dict[str, Any]:
    made = {"task": task, "args": list(args), "subtask_type": None, "immutable": False}
    return {**made, "kwargs": {}, "options": {}, **more}


def test_a_call_has_the_queue_and_the_urgency_that_it_was_sent_with(shop: front.Celery) -> None:
    follow = [step(options={"priority": 2})]
    for small_first, sign in ((True, -1), (False, 1)):
        sent = Delivery("move-slow", 1, None, sign * 6, is_small_first=small_first)
        plan = planned(shop, [1], embed={"callbacks": follow}, delivery=sent)
        [after] = plan.rest_after(plan.first.id)

        assert (plan.first.queue, plan.first.priority) == ("move-slow", sign * 6)
        assert (after.queue, after.priority) == ("move", sign * 2)
    elsewhere = planned(shop, task="move.heavy", delivery=Delivery("of-others", 1, None))
    assert elsewhere.first.queue == "move-slow"  # as the settings route it


def test_a_renamed_task_and_one_of_windlass_alone_are_found(shop: front.Celery) -> None:
    names = {"old.add": "move.add", "old.total": shop.tasks["move.total"], "old.p": "move.ported"}

    for old, task, args in (
        ("old.add", "move.add", {"x": 1}),
        ("old.total", "move.total", {"numbers": [1]}),
        ("old.p", "move.ported", {"number": 1}),
        ("move.ported", "move.ported", {"number": 1}),
    ):
        plan = planned(shop, [1], names=names, task=old)
        assert (plan.first.task, json.loads(plan.first.payload)) == (task, args)
    chained = planned(shop, [1], names=names, embed={"chain": [step("old.add", 2)]})
    assert [each.task for each in chained.rest_after(chained.first.id)] == ["move.add"]
    with pytest.raises(TaskNotFound):
        planned(shop, names={"old": "move.none"})


def test_a_time_limit_is_lost_only_where_the_task_has_another_one(shop: front.Celery) -> None:
    assert planned(shop, [1], timelimit=[30, None]).loses_time_limit
    shop.tasks["move.add"].time_limit = 30

    assert not planned(shop, [1], timelimit=[30, None]).loses_time_limit
    assert planned(shop, [1], timelimit=[30, 20]).loses_time_limit


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ({"id": "7\0"}, "is no id of a job"),
        ({"id": "7" * 500}, "is no id of a job"),
        ({"embed": {"chain": [step(options={"task_id": "7"})]}}, "have the same id"),
        ({"embed": {"chain": ["?"]}}, "no signature"),
        ({"embed": {"chain": [step(options={"chord": step()})]}}, "in the header of a chord"),
        ({"embed": {"callbacks": [step(options={"link": step(options={"chord": step()})})]}},
         "in the header of a chord"),
        ({"embed": {"chain": [step("move.none")]}}, "in a composition without its definition"),
        ({"embed": {"chain": [step("move.ported")]}}, "in a composition without its definition"),
        ({"embed": {"chain": [step(subtask_type="sheaf")]}}, "is a sheaf, which is not known"),
        ({"embed": {"chain": [step(subtask_type="chain", immutable=True)]}}, "or immutable"),
        ({"embed": {"chain": [step("g", 1, subtask_type="group")]}}, "arguments of its own"),
        ({"embed": {"chain": [step(subtask_type="chord",
                                   kwargs={"header": step(), "body": step()})]}},
         "no plain group"),
        ({"embed": {"callbacks": [step(options={"time_limit": 3})]}}, "option 'time_limit'"),
        ({"tenant": {1, 2}}, "not JSON serializable"),
    ],
)  # fmt: skip
def test_what_the_front_end_would_refuse_is_unfit_for_that_reason(
    shop: front.Celery, message: Any, why: str
) -> None:
    with pytest.raises(Unfit, match=why):
        planned(shop, [1], **message)


async def test_where_to_drain_follows_from_the_front_end(
    shop: front.Celery, tmp_path: Path
) -> None:
    origin = FrontIntake(shop, {}).origin

    assert origin.broker == "redis://:secret@nowhere/0"
    assert origin.queues == ("move", "move-slow")
    assert origin.transport_options == SHORT
    with front.Celery(broker=f"sqlite:///{tmp_path}/jobs.db", set_as_current=False) as unnamed:
        with pytest.raises(BadOption, match="names no broker of Celery"):
            await CeleryDrain().until_empty(unnamed)
        with pytest.raises(BadOption, match="names no broker of Celery"):
            CeleryDrain().restore_reserved(unnamed)
    with pytest.raises(BadOption, match="names no broker of Celery"):
        CeleryDrain().restore_reserved()
