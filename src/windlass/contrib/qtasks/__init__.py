"""A front end for code that was written for the library qtasks: only its imports change.

``from qtasks import …`` becomes ``from windlass.contrib.qtasks import …``, and so on for its
modules; the library itself is not needed.  docs/from-qtasks.md says what differs.
"""

from windlass.contrib.qtasks.plugins.depends import Depends
from windlass.contrib.qtasks.qtasks import QueueTasks
from windlass.contrib.qtasks.routers import AsyncRouter, SyncRouter
from windlass.contrib.qtasks.sharing import shared_task
from windlass.contrib.qtasks.state import current_app as get_app

__all__ = ["AsyncRouter", "Depends", "QueueTasks", "SyncRouter", "get_app", "shared_task"]
