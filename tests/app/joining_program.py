"""A caller to be killed: orders and their jobs in transactions; it says how far it is.

``KIND URL before|after|on``: it stops right before, or right after, its COMMIT; or goes on
and on.
"""

import asyncio
import sys

from tests.app.callers import KINDS
from windlass import App


async def main(kind: str, url: str, point: str) -> None:
    app = App(url)

    @app.task(name="ship")
    def ship(order: int) -> int:
        return order

    async with KINDS[kind](url) as caller:
        for order in range(1_000_000):
            await caller.run("BEGIN")
            job = await caller.enqueue(ship, order)
            await caller.run(f"INSERT INTO orders VALUES ('{job.id}')")
            if point == "before":
                await stop()
            await caller.run("COMMIT")
            if point == "after":
                await stop()
            if order == 0:
                print("going on", flush=True)


async def stop() -> None:
    print("stopped", flush=True)
    await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
