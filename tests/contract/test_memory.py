"""The memory store keeps the contract of every store."""

import pytest

from windlass.ports import Store
from windlass.stores.memory import MemoryStore
from windlass.stores.memory_rows import MemoryData
from windlass.testing.clock import FakeClock
from windlass.testing.contracts import EmbeddedContract, StoreContract


class MemoryWorld:
    """Stores that share dictionaries and a clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.data = MemoryData()

    def make_store(self) -> Store:
        """Return one more store of the same rows."""
        return MemoryStore(self.clock, data=self.data)

    async def advance(self, seconds: float) -> None:
        """Move the clock."""
        self.clock.advance(seconds)


class TestMemoryStore(StoreContract, EmbeddedContract):
    """``MemoryStore`` under the contract."""

    @pytest.fixture
    def world(self) -> MemoryWorld:
        """A world of its own for each test."""
        return MemoryWorld()
