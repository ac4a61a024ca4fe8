"""Fixtures of the worker commands' tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli_worker.commands import Site, site_in


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A folder with an app, and nothing running in it yet."""
    with site_in(tmp_path) as site:
        yield site
