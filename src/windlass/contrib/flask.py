"""Flask: an extension; tasks run in the application context."""

import functools
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

from windlass import App, AttemptCall, Outcome
from windlass.errors import AppNotConnected, MissingExtra

try:
    from flask import Flask, current_app
except ImportError as error:
    raise MissingExtra("flask", "flask") from error

EXTENSION, STORE_KEY = "windlass", "WINDLASS_STORE"


class Windlass:
    """Connects an app with a Flask application, at once or by ``init_app``.

    Each task of the app runs in the application context of that Flask application, with a ``g``
    of its own, in the thread or event loop of the task; its teardown functions run afterwards.
    Not so tasks with ``isolation="process"``: they push a context themselves.
    """

    def __init__(self, app: App, flask: Flask | None = None) -> None:
        self.app = app
        self._flask: Flask | None = None
        app.around_attempt(self._in_context)
        if flask is not None:
            self.init_app(flask)

    def init_app(self, flask: Flask) -> None:
        """Connect with a Flask application; the last one connected is that of the tasks.

        Its config ``WINDLASS_STORE``, if there is one, says which store the app has.
        """
        if (url := flask.config.get(STORE_KEY)) is not None:
            self.app.use_store(url)
        flask.extensions[EXTENSION] = self.app
        self._flask = flask

    def _in_context(self, call: AttemptCall) -> Generator[AttemptCall, Outcome, None]:
        flask, spec = self._flask, call.spec
        if flask is None:
            raise AppNotConnected("Windlass(app).init_app(flask) where workers import it too")
        wrap = _async_within if spec.is_async else _within
        yield replace(call, spec=replace(spec, function=wrap(flask, spec.function)))


def windlass_app() -> App:
    """Return the app of the current Flask application.  Raises: AppNotConnected."""
    app: App | None = current_app.extensions.get(EXTENSION)
    if app is None:
        raise AppNotConnected("Windlass(app).init_app(flask)")
    return app


def _within(flask: Flask, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with flask.app_context():
            return function(*args, **kwargs)

    return run


def _async_within(flask: Flask, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def run(*args: Any, **kwargs: Any) -> Any:
        with flask.app_context():
            return await function(*args, **kwargs)

    return run
