"""Lifespans of ASGI applications: Starlette, FastAPI and Litestar."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from windlass import App

STATE_NAME = "windlass"
Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]


class WindlassLifespan:
    """Opens an app when the web server starts, and closes it when the server stops.

    ``Starlette(lifespan=WindlassLifespan(app))``, ``FastAPI(lifespan=…)``,
    ``Litestar(lifespan=[…])``.

    app:   opened before the first request; a store that is not there ends the start.
    inner: another lifespan, which runs within; what it yields is kept.

    In Starlette and FastAPI ``request.state.windlass`` is the app.
    """

    def __init__(self, app: App, inner: Lifespan | None = None) -> None:
        self._app = app
        self._inner = inner

    @asynccontextmanager
    async def __call__(self, server: Any) -> AsyncIterator[dict[str, Any]]:
        """Hold the app open while the server runs."""
        async with self._app.session():
            try:
                if self._inner is None:
                    yield {STATE_NAME: self._app}
                else:
                    async with self._inner(server) as state:
                        own = state if isinstance(state, Mapping) else {}
                        yield {STATE_NAME: self._app, **own}
            finally:
                await asyncio.to_thread(self._app.close)  # what blocking handlers have opened
