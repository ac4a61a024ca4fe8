"""What a store needs of a connection which is not its own."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class PostgresCaller:
    """A connection to PostgreSQL on which the caller has, or will have, a transaction open.

    name:         what the caller gave, for messages.
    session:      the driver's connection: the same one for the same session of the server.
    run:          sends a statement with ``$n`` parameters; of a blocking driver it never suspends.
    is_joinable:  tells whether a statement would be part of a transaction that is to be committed.
    """

    name: str
    session: object
    run: Callable[[str, Sequence[Any]], Awaitable[Sequence[Row]]]
    is_joinable: Callable[[], bool]

    async def fetch(self, statement: str, *values: Any) -> Sequence[Row]:
        """Run a statement and return its rows, as a connection of the store does."""
        return await self.run(statement, values)

    async def execute(self, statement: str, *values: Any) -> None:
        """Run a statement, as a connection of the store does."""
        await self.run(statement, values)

    async def fetchval(self, statement: str, *values: Any) -> Any:
        """Run a statement and return the one value that it gives."""
        [[value]] = await self.run(statement, values)
        return value

    def transaction(self) -> nullcontext[None]:
        """Return what stands for a transaction: nothing, because the caller's own is open."""
        return nullcontext()


@dataclass(frozen=True, slots=True)
class SqliteCaller:
    """A connection to a SQLite file; its driver blocks.

    execute:           runs a statement; its answer has ``fetchall``.
    has_other_library: its SQLite is another copy than the one of the store.
    """

    name: str
    execute: Callable[..., Any]
    is_joinable: Callable[[], bool]
    has_other_library: bool = False

    def changes(self) -> int:
        """Return how many rows the last statement that writes has changed."""
        [[count]] = self.execute("SELECT changes()").fetchall()
        return int(count)


Caller = PostgresCaller | SqliteCaller
