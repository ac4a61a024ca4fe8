"""A drain of Celery's queues: real producers, real brokers, real Celery workers, SIGKILL."""

import asyncio
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import kombu
import pytest
import redis
from amqp.exceptions import ChannelError
from celery import Celery, chain, group

from tests.app.live import QUICK, WAIT_S, working
from tests.contrib.celery_shop import SHORT, new_shop, old_shop
from tests.servers import RabbitServer, RedisServer, free_port
from windlass import App, BadOption, JobFilter, State
from windlass.contrib.celery import pump, redis_source
from windlass.contrib.celery.amqp_source import AmqpSource
from windlass.contrib.celery.brokers import content_types
from windlass.contrib.celery.drain import CeleryDrain, DrainReport
from windlass.contrib.celery.redis_source import RedisSource
from windlass.errors import BadBroker, BrokerUnavailable, CeleryStillRuns, TaskNotFound
from windlass.handles import JobHandle
from windlass.model.jobs import Job

ROOT = Path(__file__).parents[2]
DATABASE = 7


@pytest.fixture(params=["redis", "rabbit"])
def broker(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a broker, once of each kind; with kombu's own."""
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        with redis.Redis(port=server.port, db=DATABASE) as client:
            client.flushdb()
        yield server.url(DATABASE)
    else:
        rabbit: RabbitServer = request.getfixturevalue("rabbit_server")
        yield rabbit.url


@pytest.fixture
def shop(broker: str, request: pytest.FixtureRequest) -> Iterator[Celery]:
    """The old shop on a broker, with a queue of its own."""
    old = old_shop(broker, f"shop-{request.node.name}-{random.getrandbits(32)}")
    yield old
    old.close()


@pytest.fixture
def effects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which each run of a task leaves a line."""
    path = tmp_path / "effects"
    path.touch()
    monkeypatch.setenv("SHOP_EFFECTS", str(path))
    return path


@pytest.fixture
def app(tmp_path: Path) -> App:
    made = new_shop(f"sqlite:///{tmp_path}/jobs.db")
    made.use_settings(**QUICK)
    return made


def queue_of(shop: Celery) -> str:
    return str(shop.conf.task_default_queue)


def drain_of(shop: Celery, **options: Any) -> CeleryDrain:
    options.setdefault("transport_options", SHORT if is_redis(shop) else {})
    return CeleryDrain(shop.conf.broker_url, queues=[queue_of(shop)], **options)


def is_redis(shop: Celery) -> bool:
    return str(shop.conf.broker_url).startswith("redis")


def waiting(shop: Celery) -> int:
    """Count what stands in the old queue, reserved by nobody."""
    with shop.connection_for_read() as connection, connection.channel() as channel:
        try:
            return int(channel.queue_declare(queue=queue_of(shop), passive=True).message_count)
        except ChannelError:
            assert is_redis(shop)  # where an empty queue is none
            return 0


async def jobs_of(app: App) -> dict[str, list[Job]]:
    """Return the jobs by their task, oldest first."""
    found = await (await app.client()).jobs(JobFilter(), limit=1_000)
    by_task: dict[str, list[Job]] = {}
    for job in reversed(found):
        by_task.setdefault(job.task, []).append(job)
    return by_task


def reasons(report: DrainReport) -> dict[str | None, str]:
    return {each.id: each.reason for each in report.left}


def send_many(shop: Celery, count: int) -> None:
    with shop.connection_for_write() as connection, connection.channel() as channel:
        producer = shop.amqp.Producer(channel)
        for number in range(count):
            shop.send_task("shop.sell", (number,), producer=producer)


# -- what is taken -----------------------------------------------------------


async def test_a_message_becomes_the_job_that_it_asks_for(
    shop: Celery, app: App, effects: Path, caplog: pytest.LogCaptureFixture
) -> None:
    eta = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    at = datetime(2026, 11, 21, tzinfo=UTC)
    shop.send_task("shop.sell", (1,), {"at": at}, priority=3)
    shop.send_task("shop.sell", (2,), eta=eta, expires=eta + timedelta(hours=1))
    shop.send_task("shop.sell", (3,), expires=-1)
    for _ in range(2):
        shop.send_task("shop.old_name", ("renamed",), time_limit=9, soft_time_limit=8)
    async with app.session():
        report = await drain_of(shop, names={"shop.old_name": "shop.renamed"}).until_empty(app)
        jobs = await jobs_of(app)

        sold = {json.loads(job.payload)["number"]: job for job in jobs["shop.sell"]}
        urgency = -3 if is_redis(shop) else 3
        assert sold[1].priority == 5 + urgency
        assert json.loads(sold[1].payload) == {"number": 1, "at": "2026-11-21T00:00:00Z"}
        assert (sold[2].state, sold[2].due_at) == (State.SCHEDULED, eta)
        assert sold[2].expires_at == eta + timedelta(hours=1)
        assert sold[2].priority == 5
        if 3 in sold:  # RabbitMQ drops it by itself
            assert sold[3].expires_at is not None
            assert sold[3].expires_at < datetime.now(UTC)
        assert len(jobs["shop.renamed"]) == 2
        assert report.taken == len(sold) + 2
        assert report.limitless == 2
        assert report.left == ()
        assert caplog.text.count("time limits in messages of shop.old_name are dropped") == 1
        assert waiting(shop) == 0


async def test_chains_and_links_become_jobs_that_wait_and_each_is_made_once(
    shop: Celery, app: App
) -> None:
    total = shop.tasks["shop.total"]
    for _ in range(2):  # the same twice, as after a crash between the store and the ack
        first = total.s(1, 2).set(task_id="head")
        chain(first, total.s(3), total.si(20), total.s(second=1)).apply_async()
        total.apply_async((5,), task_id="linked", link=[total.s(100), total.si(7, 8)])
    async with app.session(), working(app):
        report = await drain_of(shop).until_empty(app)
        [jobs] = (await jobs_of(app)).values()
        results = [await app_result(app, job) for job in jobs]

        assert report.left == ()
        assert report.taken == 4
        assert sorted(results) == sorted([3, 6, 20, 21, 5, 105, 15])


async def app_result(app: App, job: Job) -> Any:
    return await JobHandle[Any](app, job.id, None).aresult(WAIT_S)


# -- what is left ------------------------------------------------------------


@contextmanager
def celery_worker(shop: Celery, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a real Celery worker of the old shop, in a group of processes of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "tests.contrib.celery_shop:old", "worker",
         "--without-gossip", "--without-mingle", "--loglevel", "ERROR", *arguments],
        cwd=ROOT,
        env={**os.environ, "SHOP_BROKER": shop.conf.broker_url, "SHOP_QUEUE": queue_of(shop),
             "C_FORCE_ROOT": "1"},
        start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(WAIT_S)


def lines_of(effects: Path, count: int) -> list[str]:
    """Return what was done, once that is so much."""
    end = time.monotonic() + WAIT_S
    while len(lines := effects.read_text().splitlines()) < count and time.monotonic() < end:
        time.sleep(0.02)
    return lines


def send_what_stays(shop: Celery, task_ids: Iterator[str]) -> dict[str, str]:
    """Send messages that no drain takes; return the reason of each."""
    sell, total = shop.tasks["shop.sell"], shop.tasks["shop.total"]
    calls: list[tuple[str, Any, Any, dict[str, Any]]] = [
        ("the app has no task 'shop.retired'", shop.tasks["shop.retired"], (1,), {}),
        ("Expected `int`, got `str`", sell, ("seven",), {}),
        ("too many positional arguments", sell, (8, 8), {}),
        ("(application/x-python-serialize) is not decoded", sell, (9,), {"serializer": "pickle"}),
        ("an error callback", sell, (10,), {"link_error": total.si(10)}),
        ("options of its own: countdown", sell, (11,), {"link": total.si(11).set(countdown=0.1)}),
        ("what follows it is a group", sell, (12,), {"link": group(total.si(12), total.si(12))}),
        ("the app has no task 'shop.retired'", sell, (13,),
         {"link": shop.tasks["shop.retired"].si(13)}),
    ]  # fmt: skip
    told = {}
    for (reason, task, args, options), task_id in zip(calls, task_ids, strict=False):
        task.apply_async(args, task_id=task_id, **options)
        told[task_id] = reason
    shop.send_task("shop.sell", (14,), task_id="twice")
    shop.send_task("shop.sell", (15,), task_id="twice")
    told["twice"] = "KeyConflict"
    return told


async def test_what_cannot_be_taken_stays_is_told_once_and_a_celery_worker_still_runs_it(
    shop: Celery,
    app: App,
    effects: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pump, "AGAIN_MIN_S", 0.1)
    expected = send_what_stays(shop, map(str, itertools.count()))
    if is_redis(shop):
        with redis.Redis.from_url(shop.conf.broker_url) as client:
            for broken in ("no JSON", "[]", '{"properties": {"delivery_tag": "t"}, "body": "?"}'):
                client.lpush(queue_of(shop), broken)
    else:
        with shop.connection_for_write() as connection:
            for body in (b"no Celery", b"nor this", b"nor this one"):
                connection.Producer().publish(body, routing_key=queue_of(shop), exchange="",
                                              content_type="application/json")  # fmt: skip
    async with app.session(), working(app):
        drain = drain_of(shop)
        async with drain.running(app):
            send_many(shop, 100)
            while drain.report().taken < 101:
                await asyncio.sleep(0.02)
            await asyncio.sleep(1)  # some more looks
        again = await drain_of(shop).until_empty(app)
        done = Counter(await asyncio.to_thread(lines_of, effects, 101))

        assert done == Counter([*(f"sell {n}" for n in range(100)), "sell 14"])
        for report in (drain.report(), again):
            found = reasons(report)
            assert len(report.left) == len(expected) + 3
            for task_id, reason in expected.items():
                assert reason in found[task_id]
        assert again.taken == 0
        for task_id in expected:
            assert caplog.text.count(f"': {task_id} of task") == 2  # by each of the two drains
        assert waiting(shop) == len(again.left)
        assert not again.reserved

        if is_redis(shop):  # a Celery worker does not survive what is no message
            with redis.Redis.from_url(shop.conf.broker_url) as client:
                for broken in (
                    "no JSON",
                    "[]",
                    '{"properties": {"delivery_tag": "t"}, "body": "?"}',
                ):
                    assert client.lrem(queue_of(shop), 0, broken) == 1
    with celery_worker(shop, "--pool", "solo"):
        by_celery = Counter(await asyncio.to_thread(lines_of, effects, 101 + 13)) - done

    assert by_celery == Counter(
        ["retired (1,)", "sell ('seven',)", "sell (8, 8)", "sell (9,)", "sell (10,)", "sell (11,)",
         "total 11", "sell (12,)", "sell (13,)", "retired (13,)", "sell (15,)", *2 * ["total 12"]]
    )  # fmt: skip


async def test_a_queue_that_would_drop_what_is_put_back_is_left_alone(
    rabbit_server: RabbitServer,
    app: App,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(pump, "AGAIN_MIN_S", 0.01)
    monkeypatch.setattr(pump, "AGAIN_MAX_S", 0.01)
    shop = old_shop(rabbit_server.url, f"quorum-{random.getrandbits(32)}")
    shop.conf.task_default_queue_type = "quorum"
    shop.conf.task_queue_max_priority = None
    shop.send_task("shop.retired", (1,))
    async with app.session():
        async with drain_of(shop).running(app):
            async with asyncio.timeout(WAIT_S):
                while "is left alone" not in caplog.text:
                    await asyncio.sleep(0.05)
            send_many(shop, 1)
            await asyncio.sleep(0.5)

        assert waiting(shop) == 2
        with shop.connection_for_read() as connection:
            message = connection.SimpleQueue(shop.amqp.queues[queue_of(shop)]).get(timeout=WAIT_S)
            assert message.headers["x-delivery-count"] <= pump.RETURNS_MAX + 2
    shop.close()


# -- crashes and outages -----------------------------------------------------


def drain_in_a_process(shop: Celery, app: App, *more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "windlass.contrib.celery.drain", "tests.contrib.celery_shop:app",
         "--broker", shop.conf.broker_url, "--queue", queue_of(shop), *more],
        cwd=ROOT,
        env={**os.environ, "SHOP_STORE": app.settings.store, "SHOP_BROKER": shop.conf.broker_url},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


async def test_a_drain_that_is_killed_again_and_again_loses_nothing_and_doubles_nothing(
    shop: Celery, app: App, effects: Path
) -> None:
    count, kills = 5_000, 0
    send_many(shop, count)
    options = ("--transport-options", json.dumps(SHORT if is_redis(shop) else {}))

    async with app.session() as client:

        async def stored() -> int:
            return sum((await client.counts()).values())

        while (before := await stored()) < count - 1_000:
            process = drain_in_a_process(shop, app, *options)
            try:
                async with asyncio.timeout(WAIT_S):
                    while await stored() == before:
                        assert process.poll() is None
                        await asyncio.sleep(0.005)
                await asyncio.sleep(random.uniform(0, 0.1))
            finally:
                process.kill()
                process.communicate()
            kills += 1
        assert kills >= 3
        await asyncio.sleep(SHORT["visibility_timeout"])
        process = drain_in_a_process(shop, app, *options, "--until-empty")
        out, _ = await asyncio.to_thread(process.communicate, timeout=60)

        assert process.returncode == 0, out
        assert await stored() == count
        async with working(app, concurrency=200):
            done = await asyncio.to_thread(lines_of, effects, count)
    assert Counter(done) == Counter(f"sell {n}" for n in range(count))


async def test_a_message_whose_ack_is_lost_comes_again_and_is_the_same_job(
    shop: Celery, app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pump, "AWAY_MIN_S", 0.05)
    made = RedisSource if is_redis(shop) else AmqpSource
    acked = made.ack
    lost: list[int] = []

    def ack(self: Any, deliveries: Any) -> None:
        if not lost:
            lost.append(len(deliveries))
            raise ConnectionResetError("lost")
        acked(self, deliveries)

    monkeypatch.setattr(made, "ack", ack)
    send_many(shop, 20)
    async with app.session() as client:
        drain = drain_of(shop)
        async with drain.running(app), asyncio.timeout(WAIT_S):
            while drain.report().taken < 20:
                await asyncio.sleep(0.02)

        assert lost == [20]
        assert sum((await client.counts()).values()) == 20
        assert caplog.text.count("is away: lost; the drain tries again") == 1
        assert waiting(shop) == 0


def test_kombu_itself_gives_back_what_a_killed_drain_had_reserved_and_it_is_not_put_back_twice(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_source, "RESERVED_S", 0.5)  # of kombu's own hour
    url = redis_server.url(DATABASE)
    with old_shop(url, "celery-killed") as shop, kombu.Connection(url) as connection:
        channel = connection.channel()
        channel.client.flushdb()
        for number in range(3):
            shop.send_task("shop.sell", (number,))
        sent = channel.client.lrange("celery-killed", 0, -1)
        killed = RedisSource(connection, ["celery-killed"])
        first, *others = killed.reserve(10)
        channel.qos.restore_visible(interval=1)

        assert waiting(shop) == 0, "it came back too early"

        time.sleep(0.4)
        killed.keep([first])
        time.sleep(0.2)
        channel.qos.restore_visible(interval=1)

        assert waiting(shop) == 2
        assert killed.reserved_by_others() == 1

        again = RedisSource(connection, ["celery-killed"]).reserve(10)
        killed.put_back([first, *others])  # one of them is still its own

        assert waiting(shop) == 1
        assert channel.client.lrange("celery-killed", 0, -1) == sent[-1:]
        assert sorted(each.body(content_types(["json"]))[0] for each in again) == [[1], [2]]


async def test_a_worker_drains_while_it_runs_and_an_outage_of_the_broker_does_not_stop_it(
    app: App, effects: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pump, "AWAY_MAX_S", 0.5)
    caplog.set_level("INFO", "windlass.celery.drain")
    port = free_port()
    shop = old_shop(f"redis://127.0.0.1:{port}/0", "celery")

    class Front:
        windlass_app = app

    drain = CeleryDrain(shop.conf.broker_url)
    drain.join(Front())
    async with working(app):
        job = await app.task_named("shop.total").aenqueue(1, 2)
        assert await job.aresult(WAIT_S) == 3
        for number in range(2):
            async with asyncio.timeout(WAIT_S):  # redis-py bridges the first seconds
                while caplog.text.count("is away: ") == number:
                    await asyncio.sleep(0.05)
            server = RedisServer(port)
            try:
                await asyncio.to_thread(shop.send_task, "shop.sell", (number,))
                await asyncio.to_thread(lines_of, effects, number + 1)
            finally:
                server.close()

    assert effects.read_text().splitlines() == ["sell 0", "sell 1"]
    assert drain.report().taken == 2
    assert caplog.text.count("is back after") == 2
    assert caplog.text.count("is away: ") in (2, 3)  # once each; perhaps at the end
    shop.close()


# -- what Celery workers had reserved ----------------------------------------


async def test_what_a_killed_celery_worker_had_reserved_comes_back_when_asked_for(
    redis_server: RedisServer, app: App, effects: Path
) -> None:
    shop = old_shop(redis_server.url(DATABASE), "celery-reserved")
    with redis.Redis(port=redis_server.port, db=DATABASE) as client:
        client.flushdb()
    shop.send_task("shop.sleep", (60,))
    for number in range(3):
        shop.send_task("shop.sell", (number,))
    drain = CeleryDrain(shop.conf.broker_url, queues=[queue_of(shop)])
    with celery_worker(shop, "--concurrency", "1", "-n", "old@shop") as process:
        assert await asyncio.to_thread(lines_of, effects, 1) == ["sleep"]
        with pytest.raises(CeleryStillRuns, match="old@shop"):
            await asyncio.to_thread(drain.restore_reserved)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(WAIT_S)
    async with app.session():
        before = await drain.until_empty(app)
        restored = await asyncio.to_thread(drain.restore_reserved)
        after = await drain.until_empty(app)

    assert before.taken == 0
    assert before.reserved == 3  # Celery acks early: what it ran is lost with it
    assert restored == 3
    assert (after.taken, after.left, after.reserved) == (3, (), 0)
    shop.close()


# -- from a shell, and what is refused ---------------------------------------


def test_the_command_reports_and_its_exit_code_says_whether_anything_was_left(
    shop: Celery, app: App
) -> None:
    app.migrate()
    send_many(shop, 3)
    shop.send_task("shop.retired", (1,))
    out, told = [], []
    for name in ("shop.none=shop.sell", "shop.retired=shop.sell"):
        process = drain_in_a_process(shop, app, "--until-empty", "--name", name)
        out.append(process.communicate(timeout=60)[0])
        told.append(process.returncode)

    assert out[0].startswith("taken: 3\nleft: 1\n  1 in ")
    assert "task shop.retired: the app has no task 'shop.retired'" in out[0]
    assert out[1] == "taken: 1\nleft: 0\n"
    assert told == [1, 0]


async def test_what_cannot_be_drained_is_refused(app: App) -> None:
    with pytest.raises(BadBroker, match=r"nothing here reads from 'sqs'.*redis://"):
        CeleryDrain("sqs://key:secret@")
    with pytest.raises(BadOption, match="names of queues"):
        CeleryDrain("redis://localhost", queues="celery")
    with pytest.raises(BadOption, match="accept"):
        CeleryDrain("redis://localhost", accept=["smoke signals"])
    with pytest.raises(BadOption, match="windlass_app"):
        CeleryDrain("redis://localhost").join(object())
    with pytest.raises(BadBroker, match="puts back by itself"):
        CeleryDrain("amqp://localhost").restore_reserved()
    nobody = f"redis://:secret@127.0.0.1:{free_port()}/0"
    async with app.session():
        with pytest.raises(TaskNotFound):
            await CeleryDrain(nobody, names={"old": "new"}).until_empty(app)
        with pytest.raises(BrokerUnavailable, match="refused") as refused:
            await CeleryDrain(nobody).until_empty(app)
    assert "secret" not in str(refused.value)
