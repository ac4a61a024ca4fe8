"""Results, under the name of the module in which Celery has them."""

from windlass.contrib.celery.async_result import AsyncResult, first_of
from windlass.contrib.celery.exceptions import LIBRARY
from windlass.contrib.celery.group_result import EagerResult, GroupResult, Result
from windlass.contrib.front_ends.refusing import refusing

__all__ = ["AsyncResult", "EagerResult", "GroupResult", "Result", "first_of"]

_INSTEAD = {
    "ResultSet": "GroupResult(id, results), or windlass_app.gather(jobs)",
    "allow_join_result": "get(disable_sync_subtasks=False)",
    "result_from_tuple": "AsyncResult(id)",
}


__getattr__ = refusing(LIBRARY, __name__, _INSTEAD, "celery.result.")
