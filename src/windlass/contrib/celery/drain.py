"""Draining Celery's queues: what waits there becomes jobs of the tasks of the same name.

In each worker of an app, while it runs: ``CeleryDrain("redis://…").join(app)``.  Once, from a
shell: ``python -m windlass.contrib.celery.drain jobs:app --broker redis://… --until-empty``.
"""

import argparse
import asyncio
import json
import logging
import os
import pkgutil
import signal
import sys
from typing import Any

from windlass import UnavailableError, WindlassError
from windlass.contrib.celery.draining import CeleryDrain, app_of
from windlass.contrib.celery.report import DrainReport, Left
from windlass.errors import AppNotFound

__all__ = ["CeleryDrain", "DrainReport", "Left"]


def main() -> int:
    """Drain as the command line says, and print a report.

    Exit code: 0, or 1 if anything was left or is reserved by others, 2 for a mistake, 3 if the
    broker or the store is away.
    """
    options = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)-7s %(name)s  %(message)s")
    try:
        return _drain_as(options)
    except WindlassError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3 if isinstance(error, UnavailableError) else 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m windlass.contrib.celery.drain",
        description="Make jobs of what waits in queues of Celery.  Exit code: 0, or 1 if anything "
        "was left or is reserved by others, 2 for a mistake, 3 without broker or store.",
    )
    add, broker = parser.add_argument, os.environ.get("CELERY_BROKER_URL")
    add("app", help="the app, or its front end, as module:attribute")
    add("--broker", metavar="URL", default=broker,
        help="as Celery has it; default: CELERY_BROKER_URL, or that of the front end")  # fmt: skip
    add("--queue", action="append",
        help="of Celery; again for more; default: those of the front end, or celery")  # fmt: skip
    add("--name", action="append", default=[], metavar="OLD=NEW", help="a task that was renamed")
    add("--accept", action="append", help="a serializer; again for more; default: json")
    add("--transport-options", type=json.loads, metavar="JSON", help="as Celery has them")
    add("--store", metavar="URL", help="of the jobs, over the app's own")
    add("--restore-reserved", action="store_true",
        help="first put back what stopped Celery workers had reserved on Redis")  # fmt: skip
    add("--until-empty", action="store_true", help="end when nothing more can be taken")
    return parser


def _drain_as(options: argparse.Namespace) -> int:
    sys.path.insert(0, os.getcwd())
    try:
        app = pkgutil.resolve_name(options.app)
        own = app_of(app)
    except (ImportError, AttributeError, ValueError) as error:
        raise AppNotFound(options.app, f"{type(error).__name__}: {error}") from error
    if options.store:
        own.use_store(options.store)
    drain = CeleryDrain(
        options.broker,
        queues=options.queue,
        names=dict(each.partition("=")[::2] for each in options.name),
        accept=options.accept or ("json",),
        transport_options=options.transport_options,
    )
    if options.restore_reserved:
        print(f"put back: {drain.restore_reserved(app):,}")
    ended = asyncio.run(_until_told(drain, app, until_empty=options.until_empty))
    report = drain.report()
    print("\n".join(report.lines()))
    if options.until_empty and not ended:
        print("stopped before the queues were empty")
        return 1
    return 1 if report.left or report.reserved else 0


async def _until_told(drain: CeleryDrain, app: Any, *, until_empty: bool) -> bool:
    """Drain; tell whether that ended by itself."""
    task = asyncio.current_task()
    assert task is not None
    for stop in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(stop, task.cancel)
    async with app_of(app).session():
        try:
            if until_empty:
                await drain.until_empty(app)
            else:
                async with drain.running(app):
                    await asyncio.Event().wait()
        except asyncio.CancelledError:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
