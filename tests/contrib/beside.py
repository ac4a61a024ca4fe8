"""A worker beside a blocking test: in a thread, with an event loop of its own."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.app.live import QUICK, WAIT_S
from windlass import App
from windlass.engine.worker import Worker


@contextmanager
def worker_of(app: App) -> Iterator[None]:
    """Run a worker of an app while a block runs."""
    app.use_settings(**QUICK)
    loops: list[tuple[asyncio.AbstractEventLoop, Worker]] = []
    ready = threading.Event()

    def began(worker: Worker) -> None:
        loops.append((asyncio.get_running_loop(), worker))
        ready.set()

    async def work() -> None:
        try:
            await app.run_worker(on_ready=began)
        finally:
            await app.aclose()  # what tasks have opened

    thread = threading.Thread(target=asyncio.run, args=(work(),))
    thread.start()
    assert ready.wait(WAIT_S), "the worker did not begin"
    try:
        yield
    finally:
        [(loop, worker)] = loops
        loop.call_soon_threadsafe(worker.stop)
        thread.join(WAIT_S)
        assert not thread.is_alive()
