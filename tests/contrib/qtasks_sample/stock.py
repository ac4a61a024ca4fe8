"""What several apps share: middleware, an executor, shared tasks, and a router of the stock."""

from qtasks import SyncRouter, shared_task
from qtasks.executors import SyncTaskExecutor
from qtasks.middlewares import TaskMiddleware
from qtasks.registries import SyncTask

router = SyncRouter()
on_hand = {"tea": 12, "mug": 3}


class Audited(TaskMiddleware):
    """Notes each call in the extra options of its task."""

    def __init__(self, task_executor):
        super().__init__(task_executor)
        self.name = "Audited"

    def __call__(self):
        executor = self.task_executor
        note = f"{executor.task_broker.name} with {executor.task_broker.kwargs}"
        executor.task_func.extra.setdefault("audit", []).append(note)
        return executor


class WithDefaults(TaskMiddleware):
    """Gives an argument that the caller left out."""

    def __call__(self):
        self.task_executor._kwargs.setdefault("currency", "EUR")
        return self.task_executor


class Signed(TaskMiddleware):
    """Changes the result."""

    def __call__(self):
        self.task_executor._result = {"signed": self.task_executor._result}
        return self.task_executor


class Doubling(SyncTaskExecutor):
    """An executor of our own: it doubles what the task returns."""

    def run_task(self):
        return 2 * super().run_task()


@router.task()
def count(article: str) -> int:
    return on_hand[article]


@router.task(name="stock.reserve", priority=3, tags=["stock"])
def reserve(article: str, pieces: int = 1) -> dict:
    if pieces > on_hand.get(article, 0):
        raise LookupError(f"only {on_hand.get(article, 0)} of {article}")
    return {"article": article, "reserved": pieces}


@router.task(executor=Doubling)
def weigh(grams: int) -> int:
    return grams


@shared_task()
def vat(cents: int, rate: int = 19) -> int:
    return cents * rate // 100


@shared_task(name="shared.greet", echo=True)
def greet(self: SyncTask, who: str) -> str:
    return f"{self.task_name}: hello {who}"
