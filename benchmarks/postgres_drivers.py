"""asyncpg beside psycopg 3, with the store's own statements on one PostgreSQL.

    python benchmarks/postgres_drivers.py postgresql://user@host/empty_database

Prints medians of the rounds: jobs per second for single inserts, for inserts of 1,000, and
for the cycle claim 500 + settle 500; both drivers take turns in each round.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any, Protocol

import asyncpg
import psycopg

from windlass.stores.postgres import migrations, sql

ROUNDS, SINGLES, BATCH, BATCHES, CLAIM = 5, 500, 1_000, 10, 500
CLEAR = "TRUNCATE windlass_jobs, windlass_workers"
WORKER = "INSERT INTO windlass_workers VALUES ('w', '', 1, '{}', 1, now(), now() + interval '1 h')"


class Driver(Protocol):
    async def connect(self, url: str) -> None: ...
    async def close(self) -> None: ...
    async def script(self, text: str) -> None: ...
    async def fetch(self, text: str, values: Sequence[Any]) -> list[Any]: ...
    async def claim(self, values: Sequence[Any]) -> list[Any]: ...


class Asyncpg:
    async def connect(self, url: str) -> None:
        self.connection = await asyncpg.connect(url)

    async def close(self) -> None:
        await self.connection.close()

    async def script(self, text: str) -> None:
        await self.connection.execute(text)

    async def fetch(self, text: str, values: Sequence[Any]) -> list[Any]:
        return await self.connection.fetch(text, *values)

    async def claim(self, values: Sequence[Any]) -> list[Any]:
        await self.connection.execute(sql.BEGIN_CLAIM)
        rows = await self.connection.fetch(sql.CLAIM_JOBS, *values)
        await self.connection.execute("COMMIT")
        return rows


class Psycopg:
    async def connect(self, url: str) -> None:
        self.connection = await psycopg.AsyncConnection.connect(
            url, autocommit=True, cursor_factory=psycopg.AsyncRawCursor
        )
        self.connection.prepare_threshold = 1

    async def close(self) -> None:
        await self.connection.close()

    async def script(self, text: str) -> None:
        await self.connection.execute(text)

    async def fetch(self, text: str, values: Sequence[Any]) -> list[Any]:
        cursor = self.connection.cursor(binary=True)
        await cursor.execute(text, values)
        return await cursor.fetchall()

    async def claim(self, values: Sequence[Any]) -> list[Any]:
        await self.connection.execute(sql.BEGIN_CLAIM)
        rows = await self.fetch(sql.CLAIM_JOBS, values)
        await self.connection.execute("COMMIT")
        return rows


def requests(first: int, count: int) -> list[list[Any]]:
    none = [None] * count
    ids = [f"{n:036}" for n in range(first, first + count)]
    return [
        ids,
        ["noop"] * count,
        ["default"] * count,
        [0] * count,
        [0.0] * count,
        none,
        none,
        none,
        none,
        none,
        [b'{"i":1}'] * count,
    ]


def ends(rows: Sequence[Any]) -> list[list[Any]]:
    count = len(rows)
    none = [None] * count
    return [
        [row[2] for row in rows],
        [row[3] for row in rows],
        ["running"] * count,
        ["succeeded"] * count,
        [1] * count,
        [0] * count,
        none,
        [0.0] * count,
        [b"1"] * count,
        none,
        none,
    ]


async def measure(driver: Driver) -> dict[str, float]:
    await driver.script(CLEAR)
    await driver.script(WORKER)
    figures = {}
    start = time.perf_counter()
    for n in range(SINGLES):
        await driver.fetch(sql.INSERT_JOBS, requests(n, 1))
    figures["single"] = SINGLES / (time.perf_counter() - start)
    start = time.perf_counter()
    for n in range(BATCHES):
        await driver.fetch(sql.INSERT_JOBS, requests(SINGLES + n * BATCH, BATCH))
    figures["bulk"] = BATCHES * BATCH / (time.perf_counter() - start)
    done, start = 0, time.perf_counter()
    while rows := await driver.claim(["w", "default", CLAIM]):
        await driver.fetch(sql.SETTLE_JOBS, ends(rows))
        done += len(rows)
    figures["cycle"] = done / (time.perf_counter() - start)
    return figures


async def main(url: str) -> None:
    drivers: dict[str, Driver] = {"asyncpg": Asyncpg(), "psycopg": Psycopg()}
    for driver in drivers.values():
        await driver.connect(url)
    await drivers["asyncpg"].script(migrations.FIRST)
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in drivers}
    for _ in range(ROUNDS):
        for name, driver in drivers.items():
            rounds[name].append(await measure(driver))
    for name, figures in rounds.items():
        medians = {key: statistics.median(f[key] for f in figures) for key in figures[0]}
        print(name, "  ".join(f"{key} {rate:,.0f}/s" for key, rate in medians.items()))
    for driver in drivers.values():
        await driver.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
