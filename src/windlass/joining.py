"""Enqueueing inside of the caller's transaction: what can, and how code without a loop does it."""

from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from windlass.errors import CannotJoin
from windlass.model.jobs import JobRequest
from windlass.portal import Suspended, drive
from windlass.stores.caller_kinds import kind_of

T = TypeVar("T")


def check_joinable(connection: object, requests: Sequence[JobRequest]) -> None:
    """Refuse what cannot be stored inside of a caller's transaction.  Raises: CannotJoin."""
    kind_of(connection)
    for request in requests:
        what = f"task {request.task!r}"
        if request.once is not None and request.once.kind != "key":
            why = f"its rule ({request.once.kind}) would keep all its other calls waiting meanwhile"
            raise CannotJoin(what, f"{why}; enqueue it after the commit")
        if request.after:
            why = "jobs for which it waits could not end meanwhile"
            raise CannotJoin(what, f"{why}; enqueue it after the commit")


def refuse_awaited(connection: object) -> None:
    """Refuse a connection whose statements are awaited.  Raises: CannotJoin."""
    if kind_of(connection).is_async:
        name = f"{type(connection).__module__}.{type(connection).__qualname__}"
        why = "its statements are awaited; use aenqueue_in or aenqueue_many_in"
        raise CannotJoin(name, why)


def drive_joined(enqueueing: Coroutine[Any, Any, T]) -> T:
    """Run an enqueue over a blocking connection, here and now, in the caller's thread.

    Raises: CannotJoin, if a middleware waits: another thread must not use the connection.
    """
    try:
        return drive(enqueueing)
    except Suspended as error:
        why = "a middleware waits for something; use aenqueue_in, or one that does not wait"
        raise CannotJoin("the blocking call", why) from error
