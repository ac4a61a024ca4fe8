"""FastAPI: the app as a dependency of path operations, and the lifespan of ``contrib.asgi``."""

from typing import Annotated

from windlass import App
from windlass.contrib.asgi import STATE_NAME, WindlassLifespan
from windlass.errors import AppNotConnected, MissingExtra

try:
    from fastapi import Depends
    from fastapi.requests import HTTPConnection
except ImportError as error:
    raise MissingExtra("fastapi", "fastapi") from error

__all__ = ["WindlassApp", "WindlassLifespan", "windlass_app"]


def windlass_app(connection: HTTPConnection) -> App:
    """Return the app of the lifespan.  Raises: AppNotConnected."""
    app = getattr(connection.state, STATE_NAME, None)
    if app is None:
        raise AppNotConnected("FastAPI(lifespan=WindlassLifespan(app))")
    return app  # type: ignore[no-any-return]


WindlassApp = Annotated[App, Depends(windlass_app)]
