"""Components: started in order, stopped in reverse, whatever fails on the way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from windlass.engine.components import Components

NAMES = ["configuration", "store", "resources", "executors", "worker"]


class Book:
    """Parts that write down what befalls them, and fail where they are told to."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.fails_at: str | None = None
        self.hangs_at: str | None = None

    def part(self, name: str) -> Callable[[], AbstractAsyncContextManager[None]]:
        @asynccontextmanager
        async def start() -> AsyncIterator[None]:
            if name == self.hangs_at:
                await asyncio.sleep(60)
            if f"start {name}" == self.fails_at:
                raise OSError(name)
            self.lines.append(f"start {name}")
            try:
                yield
            finally:
                self.lines.append(f"stop {name}")
                if f"stop {name}" == self.fails_at:
                    raise OSError(name)

        return start

    def components(self) -> Components:
        return Components([(name, self.part(name)) for name in NAMES])


def started(*names: str) -> list[str]:
    return [f"start {name}" for name in names]


def stopped(*names: str) -> list[str]:
    return [f"stop {name}" for name in reversed(names)]


async def test_they_stop_in_the_reverse_of_their_start_as_often_as_one_likes() -> None:
    book = Book()
    components = book.components()
    for _ in range(2):
        book.lines.clear()
        async with components:
            assert book.lines == started(*NAMES)

        assert book.lines == started(*NAMES) + stopped(*NAMES)


@pytest.mark.parametrize("at", range(len(NAMES)))
async def test_a_start_that_fails_stops_exactly_what_had_started_and_can_be_repeated(
    at: int,
) -> None:
    book = Book()
    components = book.components()
    book.fails_at = f"start {NAMES[at]}"
    with pytest.raises(OSError, match=NAMES[at]):
        async with components:
            pass
    assert book.lines == started(*NAMES[:at]) + stopped(*NAMES[:at])

    book.fails_at = None
    book.lines.clear()
    async with components:
        pass

    assert book.lines == started(*NAMES) + stopped(*NAMES)


@pytest.mark.parametrize("at", range(len(NAMES)))
async def test_a_start_that_is_cancelled_stops_exactly_what_had_started(at: int) -> None:
    book = Book()
    book.hangs_at = NAMES[at]
    starting = asyncio.create_task(book.components().__aenter__())
    async with asyncio.timeout(5):
        while len(book.lines) < at:
            await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait([starting], timeout=5)

    assert starting.cancelled()
    assert book.lines == started(*NAMES[:at]) + stopped(*NAMES[:at])


@pytest.mark.parametrize("at", range(len(NAMES)))
async def test_a_stop_that_fails_keeps_nothing_else_from_stopping(at: int) -> None:
    book = Book()
    book.fails_at = f"stop {NAMES[at]}"
    with pytest.raises(OSError, match=NAMES[at]):
        async with book.components():
            pass

    assert book.lines == started(*NAMES) + stopped(*NAMES)


async def test_a_part_is_replaced_in_its_place() -> None:
    book = Book()
    components = book.components().replaced("store", book.part("another"))
    async with components:
        pass

    assert components.names == tuple(NAMES)
    assert book.lines[1] == "start another"
