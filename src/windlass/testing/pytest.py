"""A plugin for pytest: ``pytest_plugins = ["windlass.testing.pytest"]`` in the first conftest.py.

It brings the fixture ``workbench``; a project says with a fixture ``windlass_app`` of its own which
app that is about.
"""

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from windlass import App
from windlass.testing.workbench import Workbench, closing


@pytest.fixture
def windlass_app() -> App:
    """The app under test: a project overrides this; without that, an app with no tasks yet."""
    return App()


@pytest.fixture
def workbench(
    request: pytest.FixtureRequest, windlass_app: App, tmp_path: Path
) -> Iterator[Workbench]:
    """The app under test on a store of its own, with a clock that stands still."""
    test = request.node
    if inspect.iscoroutinefunction(test.obj):  # whatever runs it, it ends in its own event loop
        test.obj = closing(windlass_app, test.obj)
    with Workbench(windlass_app, tmp_path).running() as bench:
        yield bench
