"""A paper, in async functions."""

import asyncio
import json
import os
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import columns
import pydantic
from qtasks.asyncio import QueueTasks
from qtasks.plugins.depends import Depends, ScopeEnum
from qtasks.registries import AsyncTask

app = QueueTasks(name="press", broker_url=os.environ.get("SAMPLE_BROKER"))
app.config.result_time_interval = 0.05
app.include_router(columns.router)


class Item(pydantic.BaseModel):
    name: str
    value: int


def counted(key: str) -> int:
    """Count how often this was reached for a key, whatever process it is in."""
    path = Path(os.environ.get("SAMPLE_FOLDER", tempfile.gettempdir())) / f"press-{key}.count"
    with path.open("a") as file:
        file.write(".")
    return path.stat().st_size


@app.task(name="fetch")
async def fetch(url: str) -> str:
    await asyncio.sleep(0)
    return f"the page at {url}"


@app.task
def plain(number: int) -> int:
    return number + 1


@app.task
async def silent():
    pass


@app.task(echo=True, priority=1, tags=["news"], edition="late")
async def introduce(self: AsyncTask) -> dict:
    self.ctx.get_logger("reporter").info("introducing")
    await self.ctx.sleep(0.01)
    return {
        "name": self.task_name,
        "priority": self.priority,
        "tags": self.tags,
        "extra": self.extra,
        "ctx_name": self.ctx.task_name,
        "has_uuid": len(str(self.ctx.task_uuid)) == 36,
    }


@app.task(echo=True)
async def edition(self: AsyncTask, pages: int) -> dict:
    fetched = [await fetch.add_task(f"/{n}", timeout=20) for n in range(pages)]
    named = await self.add_task(5, task_name="plain", timeout=20)
    signed = await columns.signature.add_task("ann", timeout=20)
    stored = await self.add_task("/later", task_name="fetch")
    return {
        "pages": [page.returning for page in fetched],
        "plain": named.returning,
        "signed": signed.returning,
        "stored": stored.status,
    }


@app.task(retry=2, retry_on_exc=[ConnectionError])
async def flaky(key: str) -> int:
    reached = counted(key)
    if reached < 3:
        raise ConnectionError("the wire is down")
    return reached


@app.task(echo=True, retry=1)
async def hopeless(self: AsyncTask):
    raise KeyError(self.task_name)


@app.task(echo=True, retry=3, retry_on_exc=[KeyError], decode=json.dumps)
async def spiked(self: AsyncTask, reason: str):
    self.ctx.cancel(reason)
    return "never"


async def two_more(value: int) -> int:
    await asyncio.sleep(0)
    return value + 2


@app.task(generate_handler=two_more)
async def numbers(n: int):
    for _ in range(n):
        n += 1
        yield n


@app.task
def plain_numbers(n: int):
    yield from range(n)


@app.task(max_time=0.05)
async def late():
    await asyncio.sleep(5)


@app.task(max_time=5)
async def in_time() -> str:
    return "in time"


@app.task(decode=json.dumps)
async def greeted(item: Item) -> str:
    return f"hello, {item.name} of {item.value}"


@app.task
async def mixed(item: Item, times: int = 1) -> list:
    return [item.name] * times


@app.task
async def made(name: str) -> Item:
    return Item(name=name, value=7)


@asynccontextmanager
async def archive():
    lines = ["opened"]
    yield lines
    lines.append("closed")


async def editor():
    return "ann"


def year():
    return 1999


@app.task
async def filed(
    text: str,
    by: Annotated[str, Depends(editor)],
    lines: Annotated[list, Depends(archive, scope=ScopeEnum.TASK)],
    of=Depends(year),
) -> list:
    return [*lines, text, by, of]


@app.task
async def add(*numbers: int) -> int:
    return sum(numbers)


if __name__ == "__main__":
    app.run_forever()
