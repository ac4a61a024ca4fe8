"""A router of the paper, its middleware, an executor, and a task that any app may have."""

from qtasks import AsyncRouter, shared_task
from qtasks.executors import AsyncTaskExecutor
from qtasks.middlewares import TaskMiddleware
from qtasks.registries import AsyncTask

router = AsyncRouter()


class Titled(TaskMiddleware):
    """Writes titles with capitals."""

    async def __call__(self):
        executor = self.task_executor
        executor._kwargs["title"] = executor._kwargs.get("title", "untitled").title()
        return executor


class Counted(TaskMiddleware):
    """Adds the number of words."""

    async def __call__(self):
        executor = self.task_executor
        executor._result = {"text": executor._result, "words": len(executor._result.split())}
        return executor


class Shouting(AsyncTaskExecutor):
    """An executor of our own, which raises its voice after the task."""

    async def after_execute(self):
        await super().after_execute()
        self._result = self._result.upper()


@router.task()
async def column(author: str, *, lines: int = 2) -> list:
    return [f"{author} {n}" for n in range(lines)]


@router.task(name="columns.title", middlewares_before=[Titled], middlewares_after=[Counted])
async def titled(*, title: str) -> str:
    return title


@router.task(executor=Shouting, priority=4)
async def shout(text: str) -> str:
    return text


@shared_task(awaiting=True)
async def signature(name: str) -> str:
    return f"— {name}"


@shared_task(name="shared.initials", awaiting=True, echo=True, retry=1)
async def initials(self: AsyncTask, name: str) -> dict:
    return {"by": self.task_name, "initials": "".join(part[0] for part in name.split())}
