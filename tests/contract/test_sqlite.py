"""The SQLite store keeps the contract of every store."""

from pathlib import Path

import pytest

from windlass.ports import Store
from windlass.stores.sqlite import SqliteStore
from windlass.testing.clock import FakeClock
from windlass.testing.contracts import EmbeddedContract, StoreContract


class SqliteWorld:
    """Stores of one file, which read one clock."""

    def __init__(self, path: Path) -> None:
        self.clock = FakeClock()
        self.path = path

    def make_store(self) -> Store:
        """Return one more store of the same file."""
        return SqliteStore(self.path, clock=self.clock)

    async def advance(self, seconds: float) -> None:
        """Move the clock."""
        self.clock.advance(seconds)


class TestSqliteStore(StoreContract, EmbeddedContract):
    """``SqliteStore`` under the contract."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> SqliteWorld:
        """A file of its own for each test."""
        return SqliteWorld(tmp_path / "windlass.db")
