"""Blobs in a folder, S3, GCS or Azure, through obstore: one API for all of them."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from urllib.request import url2pathname

from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from windlass.errors import BadLargeResults, BlobsUnavailable
from windlass.model.blobs import Blob

PAGE = 500
SCHEMES = ("file", "s3", "gs", "az")
_CLIENT: Any = {"timeout": timedelta(minutes=5), "connect_timeout": timedelta(seconds=5)}
_RETRY: Any = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}


class ObjectBlobs:
    """Blobs in an object store.

    shown: its URL without secrets.
    make:  makes obstore's store; called at the first use, and again until it succeeds.
    """

    def __init__(self, shown: str, make: Callable[[], Any]) -> None:
        self._url = shown
        self._make = make
        self._objects: Any = None

    @property
    def url(self) -> str:
        """Where this is, without secrets; for messages."""
        return self._url

    async def put(self, key: str, data: bytes) -> None:
        """Keep a blob in one request, whole or not at all."""
        with self._translated() as objects:
            # In parts, a kill would leave some of them behind, which no listing shows.
            await objects.put_async(key, data, use_multipart=False)

    async def get(self, key: str, limit_bytes: int) -> bytes | None:
        """Return the first ``limit_bytes`` of a blob; None if there is none."""
        with self._translated() as objects:
            try:
                found = await objects.get_async(key)
                if found.meta["size"] > limit_bytes:
                    return bytes(await objects.get_range_async(key, start=0, length=limit_bytes))
                return bytes(await found.bytes_async())
            except FileNotFoundError:
                return None

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete blobs; those that are gone are no error."""
        with self._translated() as objects:
            try:
                await objects.delete_async(list(keys))
            except FileNotFoundError:  # it stops at the first: another process was quicker
                for key in keys:
                    await self._delete_one(objects, key)

    async def _delete_one(self, objects: Any, key: str) -> None:
        try:
            await objects.delete_async(key)
        except FileNotFoundError:
            return

    async def list(self, space: str) -> AsyncGenerator[Sequence[Blob], None]:
        """Yield the blobs of a space, page by page."""
        with self._translated() as objects:
            pages = aiter(objects.list(space, chunk_size=PAGE))
        while True:
            with self._translated():
                page = await anext(pages, None)
            if page is None:
                return
            yield [Blob(each["path"], each["size"]) for each in page]

    @contextmanager
    def _translated(self) -> Iterator[Any]:
        """Give the object store, and say in our words what it cannot do."""
        _refuse_after_fork(self._url)
        try:
            if self._objects is None:
                self._objects = self._make()
            yield self._objects
        except (BaseError, OSError) as error:
            raise BlobsUnavailable(self._url, _first_line(error)) from error


class FolderBlobs(ObjectBlobs):
    """Blobs in a folder, which is made with the first of them; durable once ``put`` returns.

    obstore leaves the bytes to the page cache: a power cut could take a result to which a
    durable row refers.  So they are synced here, and the folder's entry with them.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder.as_uri(), lambda: LocalStore(folder, mkdir=True))
        self._folder = folder

    async def put(self, key: str, data: bytes) -> None:
        """Keep a blob, and sync it to the disk."""
        await super().put(key, data)
        with self._translated():
            await asyncio.to_thread(self._sync, self._folder / key)

    def _sync(self, path: Path) -> None:
        for each in (path, path.parent, self._folder):
            fd = os.open(each, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


def open_blobs(url: str, shown: str) -> ObjectBlobs:
    """Return the blobs that a URL names; nothing is opened before their first use.

    url:    the parameters after ``?`` are options of obstore: region, endpoint, keys.
    Raises: BadLargeResults.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BadLargeResults(shown, str(error)) from error
    if parts.scheme not in SCHEMES:
        raise BadLargeResults(shown, f"nothing is known for the scheme {parts.scheme!r}")
    if parts.scheme == "file":
        if parts.netloc or parts.query or not parts.path.strip("/"):
            raise BadLargeResults(shown, "it names no folder by its absolute path")
        return FolderBlobs(Path(url2pathname(parts.path)))
    if not parts.netloc:
        raise BadLargeResults(shown, "it names no bucket")
    objects = _object_store(parts._replace(query="").geturl(), dict(parse_qsl(parts.query)), shown)
    return ObjectBlobs(shown, lambda: objects)


def _object_store(place: str, options: Mapping[str, str], shown: str) -> Any:
    """Make obstore's store; an endpoint that says ``http://`` is taken at its word."""
    is_plain = options.get("endpoint", "").startswith("http://")
    client: Any = {**_CLIENT, "allow_http": is_plain}
    config: Any = dict(options)
    try:
        return from_url(place, config=config, client_options=client, retry_config=_RETRY)
    except BaseException as error:
        # For options that are not the place's own it panics, which is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise BadLargeResults(shown, _first_line(error)) from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


# -- forks -------------------------------------------------------------------


class _Runtime:
    """What becomes of obstore's threads: a fork leaves them behind, and calls would hang."""

    is_used = False
    was_left_behind = False


def _refuse_after_fork(url: str) -> None:
    if _Runtime.was_left_behind:
        raise BadLargeResults(
            url, "this process was forked from one that had used it; start it afresh (spawn)"
        )
    _Runtime.is_used = True


def _note_fork() -> None:
    _Runtime.was_left_behind = _Runtime.is_used


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_note_fork)
