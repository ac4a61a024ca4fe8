"""Tasks that run here and now: ``task.apply(…)``, and the setting ``task_always_eager``."""

from typing import Any
from uuid import uuid4

from windlass.contrib.celery import states
from windlass.contrib.celery.attempt import ExceptionInfo, Replaced, perform
from windlass.contrib.celery.canvas import maybe_signature
from windlass.contrib.celery.exceptions import Retry
from windlass.contrib.celery.options import call_options
from windlass.contrib.celery.request import Request
from windlass.contrib.celery.result import EagerResult


def run_eagerly(
    task: Any, args: tuple[Any, ...], kwargs: dict[str, Any], throws: bool, given: dict[str, Any]
) -> Any:
    """Run a task and all its retries, without waiting between them; return its result."""
    options = call_options(given, task.app.conf)
    task_id = options.task_id or str(uuid4())
    request = Request(
        task=task.name,
        id=task_id,
        args=args,
        kwargs=kwargs,
        root_id=task_id,
        is_eager=True,
        called_directly=False,
        delivery_info={"is_eager": True, "routing_key": options.queue},
        errbacks=options.errbacks,
    )
    result = _run(task, request, throws)
    if result.successful():
        for link in options.links:
            maybe_signature(link, task.app).apply((result.result,))
    return result


def _run(task: Any, request: Request, throws: bool) -> EagerResult:
    assert request.id is not None
    while True:
        try:
            value = perform(task, request)
        except Retry:
            request.retries += 1
            continue
        except Replaced as going_on:
            replaced: EagerResult = going_on.signature.apply()
            return replaced
        except Exception as error:
            if throws:
                raise
            text = ExceptionInfo(error).traceback
            return EagerResult(request.id, error, states.FAILURE, text, task.name)
        return EagerResult(request.id, value, states.SUCCESS, None, task.name)
