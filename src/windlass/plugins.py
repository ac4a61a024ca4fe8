"""Which adapter answers to which URL."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from windlass.config import Settings, masked_url, shown_place
from windlass.core.tasks import Isolation, TaskSpec
from windlass.engine.large_results import LargeResults
from windlass.errors import BadStoreUrl, MissingExtra
from windlass.ports import Blobs, Executor, Joiner, Store
from windlass.stores.clock import SystemClock


def make_store(url: str, settings: Settings) -> Store:
    """Make the store, unopened, that a URL names.

    Raises: BadStoreUrl, MissingExtra.
    """
    match scheme := _scheme(url):
        case "sqlite":
            return _sqlite(url, settings)
        case "postgresql" | "postgres":
            return _postgres(url, settings)
        case "":
            raise BadStoreUrl(masked_url(url), "it has no scheme")
        case _:
            raise BadStoreUrl(masked_url(url), f"no store is known for the scheme {scheme!r}")


def make_joiner(url: str) -> Joiner:
    """Make the way into the store that a URL names over connections of the callers'.

    Raises: BadStoreUrl, MissingExtra.
    """
    if is_embedded(url):
        from windlass.stores.sqlite.joining import SqliteJoiner

        return SqliteJoiner(_sqlite_path(url))
    _need_asyncpg()
    from windlass.stores.postgres.joining import PostgresJoiner

    return PostgresJoiner(url)


def make_large_results(settings: Settings, store_url: str) -> LargeResults:
    """Make the way to the large results of a store; nothing is opened before its first use."""
    place = settings.large_results
    if is_embedded(store_url):  # two projects may well call their files alike
        store_url = Path(store_url.removeprefix("sqlite:///")).resolve().as_uri()
    return LargeResults(
        (lambda: _blobs(place)) if place else None,
        store_url=store_url,
        inline_bytes=settings.payload_limit_bytes,
    )


def is_embedded(url: str) -> bool:
    """Tell whether the store runs inside the calling process, without a server.

    Raises: BadStoreUrl, for what is no URL.
    """
    return _scheme(url) == "sqlite"


def make_executors(
    specs: Iterable[TaskSpec],
    settings: Settings,
    slots: int,
    target: str | None,
    environ: Mapping[str, str],
) -> dict[Isolation, Executor]:
    """Make an executor for each isolation that the tasks ask for."""
    return {
        isolation: _make_executor(isolation, settings, slots, target, environ)
        for isolation in sorted({spec.isolation for spec in specs})
    }


@asynccontextmanager
async def with_dependencies(specs: Mapping[str, TaskSpec]) -> AsyncIterator[Mapping[str, TaskSpec]]:
    """Give tasks what they depend on, in the running loop; end what they shared at last.

    The definitions of tasks that depend on nothing are left as they are.
    """
    if all(spec.needs is None for spec in specs.values()):
        yield specs
        return
    from windlass.executors.injection import Share, drive_on, injected

    share = Share()
    try:
        yield injected(specs, share, drive_on(asyncio.get_running_loop()))
    finally:
        await share.close()


def _make_executor(
    isolation: Isolation,
    settings: Settings,
    slots: int,
    target: str | None,
    environ: Mapping[str, str],
) -> Executor:
    match isolation:
        case "loop":
            from windlass.executors.loop import LoopExecutor

            return LoopExecutor(SystemClock())
        case "thread":
            from windlass.executors.threads import ThreadExecutor

            return ThreadExecutor(settings.thread_slots or slots)
        case "process":
            from windlass.executors.processes import ProcessExecutor

            return ProcessExecutor(
                target,
                settings.process_slots or slots,
                environ=environ,
                clock=SystemClock(),
                recycle_after_jobs=settings.recycle_after_jobs or None,
                store_url=masked_url(settings.store),
            )


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError as error:
        raise BadStoreUrl(masked_url(url), str(error)) from error


def _sqlite(url: str, settings: Settings) -> Store:
    from windlass.stores.sqlite import SqliteStore

    return SqliteStore(_sqlite_path(url), synchronous=settings.sqlite_synchronous)


def _sqlite_path(url: str) -> str:
    path = url.removeprefix("sqlite://")
    if not path.startswith("/") or path == "/":
        raise BadStoreUrl(masked_url(url), "it names no file")
    path = path[1:]  # sqlite:///relative.db, sqlite:////absolute.db
    if path == ":memory:":
        raise BadStoreUrl(masked_url(url), "a store in memory would forget its jobs; name a file")
    return path


def _postgres(url: str, settings: Settings) -> Store:
    _need_asyncpg()
    from windlass.stores.postgres import PostgresStore

    return PostgresStore(url, pool_size=settings.pg_pool_size)


def _need_asyncpg() -> None:
    try:
        importlib.import_module("asyncpg")
    except ImportError as error:
        raise MissingExtra("postgres", "asyncpg") from error


def _blobs(url: str) -> Blobs:
    try:
        importlib.import_module("obstore")
    except ImportError as error:
        raise MissingExtra("objects", "obstore") from error
    from windlass.blobs.objects import open_blobs

    return open_blobs(url, shown_place(url))
