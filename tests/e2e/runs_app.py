"""The app of the end-to-end tests of runs; its store comes from WINDLASS_STORE."""

import asyncio

from windlass import App
from windlass.workflows import random

app = App()

WIDTH = 8


@app.task(name="part")
async def part(number: int, place: int) -> int:
    """Take a moment."""
    await asyncio.sleep(0.02)
    return number + place


@app.task(name="total")
def total(parts: list[int]) -> int:
    """The same on a thread."""
    return sum(parts)


@app.dag(name="graph")
def graph(number: int) -> int:
    """Fan out, in, out and in again."""
    first = total([part.step()(number, place) for place in range(WIDTH)])
    second = [part.step()(first, place) for place in range(WIDTH)]
    return total(second)


@app.workflow(name="flow")
async def flow(number: int) -> int:
    """The same as code, with a nap and a race."""
    parts = await asyncio.gather(*(part(number, place) for place in range(WIDTH)))
    first = await total.astep(list(parts))
    await asyncio.sleep(0.2)
    quick = [asyncio.ensure_future(part(first, place)) for place in range(WIDTH)]
    done, _ = await asyncio.wait(quick, return_when=asyncio.FIRST_COMPLETED)
    places = sorted(one.result() - first for one in done)
    await part(places[0], int(random().random() * 1_000))  # another call if a replay went wrong
    return await total.astep(await asyncio.gather(*quick))


def expected(number: int) -> int:
    """Return what both result in."""
    first = sum(number + place for place in range(WIDTH))
    return sum(first + place for place in range(WIDTH))
