"""Results, under the name of the module in which Celery has them."""

from windlass.contrib.celery.async_result import AsyncResult, first_of
from windlass.contrib.celery.group_result import EagerResult, GroupResult, Result

__all__ = ["AsyncResult", "EagerResult", "GroupResult", "Result", "first_of"]
