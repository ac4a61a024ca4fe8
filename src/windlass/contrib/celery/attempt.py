"""One attempt of a task: its handlers, its automatic retries, and what follows its failure."""

import logging
import random
from collections.abc import Sequence
from traceback import format_exception
from typing import Any

from windlass.contrib.celery import current, states
from windlass.contrib.celery.canvas import maybe_signature
from windlass.contrib.celery.exceptions import Retry
from windlass.contrib.celery.request import Request

log = logging.getLogger("windlass.contrib.celery")


class Replaced(Exception):
    """Raised by ``task.replace(…)``: the task goes on as something else."""

    def __init__(self, signature: Any) -> None:
        super().__init__(signature)
        self.signature = signature


class ExceptionInfo:
    """An exception as handlers are given it."""

    def __init__(self, error: BaseException) -> None:
        self.type = type(error)
        self.exception = error
        self.traceback = "".join(format_exception(error))

    def __str__(self) -> str:
        return self.traceback


def perform(task: Any, request: Request) -> Any:
    """Run a task with its handlers; return its value or raise how else the attempt ended.

    Raises: Retry, Replaced; what the task raised, once its handlers and errbacks were told.
    """
    with current.running(task, request):
        given = (request.id, request.args, request.kwargs)
        try:
            task.before_start(*given)
            value = _with_retries(task, request)
        except Retry as asked:
            task.on_retry(asked.exc, *given, ExceptionInfo(asked))
            raise
        except Replaced:
            raise
        except Exception as error:
            _failed(task, request, error)
            raise
        task.on_success(value, *given)
        task.after_return(states.SUCCESS, value, *given, None)
        return value


def _with_retries(task: Any, request: Request) -> Any:
    """Run a task; what it raises may ask for another attempt by itself."""
    try:
        return task.call_in_attempt(*request.args, **request.kwargs)
    except (Retry, Replaced):
        raise
    except tuple(task.dont_autoretry_for):
        raise
    except tuple(task.autoretry_for) as error:
        options = dict(task.retry_kwargs)
        if task.retry_backoff:
            options["countdown"] = backoff_s(
                max(1.0, float(task.retry_backoff)),
                request.retries,
                float(task.retry_backoff_max),
                task.retry_jitter,
            )
        raise task.retry(exc=error, **options) from error


def backoff_s(factor: float, retries: int, most: float, jitter: bool) -> float:
    """Return the seconds before a retry: each time twice as many; with jitter, any up to that."""
    whole = min(most, int(factor) * 2 ** min(retries, 64))
    return float(random.randrange(int(whole) + 1)) if jitter else float(whole)


def _failed(task: Any, request: Request, error: Exception) -> None:
    info = ExceptionInfo(error)
    given = (request.id, request.args, request.kwargs)
    task.on_failure(error, *given, info)
    _call_errbacks(task.app, request, error, info, request.errbacks)
    task.after_return(states.FAILURE, error, *given, info)


def _call_errbacks(
    app: Any, request: Request, error: Exception, info: ExceptionInfo, errbacks: Sequence[Any]
) -> None:
    """Call each errback: at once, if it takes the request and the exception; else as a task."""
    for each in errbacks:
        errback = maybe_signature(each, app)
        try:
            known = app.tasks.get(errback.task)
            if known is not None and takes_exception(known, errback):
                errback(request, error, info.traceback)
            else:
                errback.apply_async((request.id,))
        except Exception:
            log.exception("errback %r raised an exception", errback.name)


def takes_exception(task: Any, errback: Any) -> bool:
    """Tell whether an errback takes more than the id of the job that failed."""
    if task.bind or errback.immutable:
        return False
    try:
        task.shape.named((None, None, None, *errback.args), errback.kwargs)
    except TypeError:
        return False
    return True
