"""Results, under the name of the module in which Celery has them."""

from windlass.contrib.celery.async_result import AsyncResult, first_of
from windlass.contrib.celery.exceptions import refuse
from windlass.contrib.celery.group_result import EagerResult, GroupResult, Result

__all__ = ["AsyncResult", "EagerResult", "GroupResult", "Result", "first_of"]

_INSTEAD = {
    "ResultSet": "GroupResult(id, results), or windlass_app.gather(jobs)",
    "allow_join_result": "get(disable_sync_subtasks=False)",
    "result_from_tuple": "AsyncResult(id)",
}


def __getattr__(name: str) -> object:
    if name in _INSTEAD:
        refuse(f"celery.result.{name}", _INSTEAD[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
