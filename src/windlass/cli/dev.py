"""``windlass dev``: a worker that starts again when the source changes."""

import asyncio
import contextlib
import logging
import subprocess
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from windlass.cli.logs import configure_logging
from windlass.cli.signals import STOP_SIGNALS
from windlass.cli.supervisor import Lifeline, ending, worker_command
from windlass.errors import MissingExtra

log = logging.getLogger("windlass.cli.dev")

STOP_S = 5.0
HURRY_S = 2.0


def dev(
    target: Annotated[
        str, typer.Argument(help="The app, as module:attribute.", envvar="WINDLASS_APP")
    ],
    store: Annotated[str | None, typer.Option(help="URL of the store, over the app's own.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
) -> int:
    """Run a worker that fires schedules too, and start it again when a .py file here changes.

    A module that cannot be imported shows its error; the next change tries it again.
    Exit code: 0 after SIGTERM or Ctrl-C.
    """
    try:
        import watchfiles  # noqa: F401
    except ImportError as error:
        raise MissingExtra("reload", "watchfiles") from error
    configure_logging(log_level or "info")
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    command = worker_command(target, scheduler=True, store=store, log_level=log_level)
    with Lifeline() as lifeline:
        asyncio.run(Reloader(lifeline.extend(command), lifeline, Path.cwd()).run())
    return 0


class Reloader:
    """Runs one worker process at a time, a new one after each change."""

    def __init__(self, command: list[str], lifeline: Lifeline, folder: Path) -> None:
        self._command = command
        self._lifeline = lifeline
        self._folder = folder
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._stopping.set)
        watch = asyncio.create_task(self._watch())
        watch.add_done_callback(lambda _: self._stopping.set())
        await asyncio.sleep(0)  # the watch begins before the child reads its source
        try:
            while not self._stopping.is_set():
                self._changed.clear()
                await self._work_until_changed()
        finally:
            self._stopping.set()
            await watch

    async def _watch(self) -> None:
        async for paths in _changes(self._folder, self._stopping):
            log.info("changed: %s", ", ".join(sorted(paths)))
            self._changed.set()

    async def _work_until_changed(self) -> None:
        child = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=subprocess.DEVNULL,
            pass_fds=[self._lifeline.child_end],
            process_group=0,
        )
        ended = asyncio.ensure_future(child.wait())
        try:
            await _first_of(_until(ended), self._changed.wait(), self._stopping.wait())
            if ended.done():
                log.warning("the worker %s; waiting for a change", ending(ended.result()))
                await _first_of(self._changed.wait(), self._stopping.wait())
        finally:
            await _stop(child, ended)


async def _changes(folder: Path, stop: asyncio.Event) -> AsyncIterator[set[str]]:
    from watchfiles import PythonFilter, awatch

    async for changes in awatch(folder, watch_filter=PythonFilter(), stop_event=stop):
        yield {path.removeprefix(f"{folder}/") for _, path in changes}


async def _stop(child: asyncio.subprocess.Process, ended: "asyncio.Future[int]") -> None:
    """Stop a child: first with patience, then at once, then by force."""
    steps = ((child.terminate, STOP_S), (child.terminate, HURRY_S), (child.kill, None))
    for end, patience_s in steps:
        if ended.done():
            return
        with contextlib.suppress(ProcessLookupError):
            end()
        await asyncio.wait([ended], timeout=patience_s)


async def _until(future: "asyncio.Future[int]") -> None:
    await asyncio.wait([future])


async def _first_of(*waits: Coroutine[Any, Any, object]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, return_when="FIRST_COMPLETED")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
