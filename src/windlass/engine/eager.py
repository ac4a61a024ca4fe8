"""Tasks of asyncio that take their first step at once, where Python can."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

if sys.version_info >= (3, 12):

    def start_task(attempt: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Start a task, and run it here up to its first wait."""
        loop = asyncio.get_running_loop()
        return asyncio.Task(attempt, loop=loop, eager_start=True)

else:

    def start_task(attempt: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Start a task; it begins with the loop's next round."""
        return asyncio.get_running_loop().create_task(attempt)
