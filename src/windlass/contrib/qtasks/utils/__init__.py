"""What qtasks has under this name: the current app, and tasks that every app has."""

from typing import Any

from windlass.contrib.qtasks.refusals import CHAINS, refusing
from windlass.contrib.qtasks.sharing import shared_task
from windlass.contrib.qtasks.state import current_app as get_app

__all__ = ["get_app", "shared_task"]

_refuse = refusing("qtasks.utils", CHAINS)


def __getattr__(name: str) -> Any:
    if name in ("AsyncTaskUtils", "SyncTaskUtils"):
        _refuse(name)
    raise AttributeError(name)
