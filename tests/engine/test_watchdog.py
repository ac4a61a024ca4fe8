"""The watchdog, the watch and the health endpoint: who does not move is named."""

import asyncio
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from windlass.engine.health import REQUEST_BYTES_MAX, HealthServer, answer
from windlass.engine.watch import THREAD_NAME, Watch
from windlass.engine.watchdog import EVENT_LOOP, Watchdog
from windlass.errors import CannotListen
from windlass.model.health import Health

# -- the watchdog ------------------------------------------------------------


class Time:
    """Monotonic seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


def test_a_loop_that_misses_its_beats_for_too_long_is_named() -> None:
    time = Time()
    watchdog = Watchdog(stall_s=30, now=time)
    watchdog.pulse("claim").beat(next_in_s=5)
    time.s += 35
    assert watchdog.health().live

    time.s += 1
    assert watchdog.health().stalls == ("claim has not moved for 36 s",)

    watchdog.pulse("claim").beat()
    assert watchdog.health().live


def test_where_the_event_loop_stands_still_it_alone_is_named() -> None:
    time = Time()
    watchdog = Watchdog(stall_s=30, now=time)
    watchdog.pulse("claim").beat()
    watchdog.pulse(EVENT_LOOP).beat()
    time.s += 31

    assert watchdog.health().stalls == ("the event loop has not moved for 31 s",)


def test_a_loop_that_rests_may_do_so_for_ever() -> None:
    time = Time()
    watchdog = Watchdog(stall_s=30, now=time)
    watchdog.pulse("settle").rest()
    time.s += 1e6

    assert watchdog.health().live


def test_a_worker_is_ready_while_it_holds_a_lease_and_the_store_answers() -> None:
    time = Time()
    watchdog = Watchdog(stall_s=30, now=time)
    assert watchdog.health().wants == ("it holds no lease",)

    watchdog.lease_held(left_s=13)
    assert watchdog.health().ready

    watchdog.lease_in_doubt()
    assert watchdog.health().wants == ("the store does not answer",)

    watchdog.lease_held(left_s=13)
    time.s += 13
    assert watchdog.health().wants == ("it holds no lease",)


def test_a_worker_that_stops_is_live_but_not_ready() -> None:
    watchdog = Watchdog(stall_s=30, now=Time())
    watchdog.lease_held(left_s=13)
    watchdog.stopping()
    health = watchdog.health()

    assert (health.live, health.ready, health.stopping) == (True, False, True)


# -- the answers -------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "status", "document"),
    [
        (b"GET /health/live HTTP/1.1", 503, {"live": False, "reasons": ["a stands"]}),
        (b"GET /health/live?x=1 HTTP/1.0", 503, {"live": False, "reasons": ["a stands"]}),
        (b"GET /health/ready HTTP/1.1", 503, {"ready": False, "reasons": ["a stands", "b"]}),
    ],
)
def test_the_answer_names_the_reasons(line: bytes, status: int, document: object) -> None:
    said, facts = answer(line, lambda: Health(stalls=("a stands",), wants=("b",)))

    assert (said.value, json.loads(json.dumps(facts))) == (status, document)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET /health/live HTTP/1.1", 200),
        (b"GET /health/ready HTTP/1.1", 200),
        (b"POST /health/live HTTP/1.1", 405),
        (b"GET / HTTP/1.1", 404),
        (b"GET /health/live/../ready HTTP/1.1", 404),
        (b"GET /health/live", 400),
        (b"GET http://x/health/live HTTP/1.1", 400),
        (b"\x16\x03\x01", 400),
        (b"", 400),
    ],
)
def test_only_two_questions_are_answered(line: bytes, status: int) -> None:
    assert answer(line, Health)[0].value == status


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionResetError:  # it was closed with bytes of ours unread
        return b""
    finally:
        writer.close()


@asynccontextmanager
async def served(health: Health) -> AsyncIterator[int]:
    async with HealthServer("127.0.0.1", 0, lambda: health) as server:
        yield int(server.address.rpartition(":")[2])


async def test_an_answer_is_a_whole_http_response() -> None:
    async with served(Health()) as port:
        response = await ask(port, b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    head, _, body = response.partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body) == {"live": True, "reasons": []}


async def test_a_request_over_the_limit_is_refused() -> None:
    async with served(Health()) as port:
        response = await ask(port, b"GET / HTTP/1.1\r\nX: " + b"x" * 2 * REQUEST_BYTES_MAX)

    assert response.startswith(b"HTTP/1.1 431 ") or response == b""


async def test_who_says_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("windlass.engine.health.REQUEST_S", 0.1)
    async with served(Health()) as port:
        assert await ask(port, b"GET /health/live") == b""


async def test_connections_without_number_are_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("windlass.engine.health.CONNECTIONS_MAX", 1)
    async with served(Health()) as port:
        _, idle = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.05)

        assert await ask(port, b"GET /health/live HTTP/1.1\r\n\r\n") == b""
        idle.close()


async def test_an_address_that_is_taken_is_an_error_that_names_it() -> None:
    async with served(Health()) as port:
        with pytest.raises(CannotListen, match=f"127.0.0.1:{port}"):
            async with HealthServer("127.0.0.1", port, Health):
                pass


# -- the watch ---------------------------------------------------------------


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == THREAD_NAME]


async def eventually(holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + 10
    while not holds() and time.monotonic() < end:
        await asyncio.sleep(0.01)
    return holds()


def block_until(holds: Callable[[], bool]) -> bool:
    """Hold up the event loop, as bad user code does."""
    end = time.monotonic() + 10
    while not holds() and time.monotonic() < end:
        time.sleep(0.01)
    return holds()


async def test_it_speaks_while_the_event_loop_is_blocked_and_says_where_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR, "windlass.watch")
    heard: list[Health] = []
    watchdog = Watchdog(stall_s=0.3)
    async with Watch(watchdog, address=None, blocked_s=0.1, tell=[heard.append]):
        assert await eventually(lambda: bool(heard))
        assert block_until(lambda: bool(heard) and not heard[-1].live)
        assert heard[-1].stalls[0].startswith("the event loop has not moved for")
        assert await eventually(lambda: heard[-1].live)
    told = [record.getMessage() for record in caplog.records]

    assert len(told) == 1
    assert "the event loop has been blocked for 0." in told[0]
    assert "in block_until" in told[0]
    assert threads() == []


async def test_it_answers_over_http_while_the_event_loop_is_blocked() -> None:
    answers: list[bytes] = []
    async with served(Health()) as port:
        pass  # so that the port is free now

    def ask_from_a_thread() -> None:
        request = b"GET /health/live HTTP/1.1\r\n\r\n"
        while not answers or b'"live":false' not in answers[-1]:
            answers.append(asyncio.run(ask(port, request)))

    watchdog = Watchdog(stall_s=0.2)
    async with Watch(watchdog, address=("127.0.0.1", port), blocked_s=60):
        asker = threading.Thread(target=ask_from_a_thread, daemon=True)
        asker.start()
        assert block_until(lambda: not asker.is_alive())

    assert b"503 Service Unavailable" in answers[-1]
    assert b"the event loop has not moved" in answers[-1]


async def test_who_is_told_and_breaks_does_not_end_the_watch() -> None:
    heard: list[Health] = []

    def breaks(health: Health) -> None:
        heard.append(health)
        raise OSError("no")

    async with Watch(Watchdog(), address=None, blocked_s=0.1, tell=[breaks]):
        assert await eventually(lambda: len(heard) > 2)


async def test_a_start_that_fails_leaves_no_thread() -> None:
    async with served(Health()) as port:
        with pytest.raises(CannotListen):
            async with Watch(Watchdog(), address=("127.0.0.1", port), blocked_s=1):
                pass

    assert threads() == []


async def test_a_start_that_is_cancelled_leaves_no_thread() -> None:
    async def start() -> None:
        async with Watch(Watchdog(), address=None, blocked_s=1):
            await asyncio.sleep(60)

    starting = asyncio.create_task(start())
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait([starting], timeout=5)

    assert starting.cancelled()
    assert threads() == []
