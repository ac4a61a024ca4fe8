"""What happens around a broker's tasks: its start and its stop, middlewares, the shared state."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self

from windlass.contrib.taskiq.abc.middleware import TaskiqMiddleware, awaited
from windlass.contrib.taskiq.events import TaskiqEvents
from windlass.contrib.taskiq.state import TaskiqState
from windlass.errors import BadOption

Handler = Callable[[TaskiqState], Awaitable[None] | None]


class Lifecycle(ABC):
    """A broker as its handlers, its middlewares and its tasks' dependencies see it."""

    def __init__(self) -> None:
        self.middlewares: list[TaskiqMiddleware] = []
        self.event_handlers: dict[TaskiqEvents, list[Handler]] = defaultdict(list)
        self.state = TaskiqState()
        self.custom_dependency_context: dict[Any, Any] = {}
        self.dependency_overrides: dict[Any, Any] = {}
        self.is_worker_process = self.is_scheduler_process = False

    def on_event(self, *events: TaskiqEvents) -> Callable[[Handler], Handler]:
        """Call a function when something happens to the broker; a decorator."""

        def handle(handler: Handler) -> Handler:
            for event in events:
                self.event_handlers[event].append(handler)
            return handler

        return handle

    def add_event_handler(self, event: TaskiqEvents, handler: Handler) -> None:
        """Call a function when something happens to the broker."""
        self.event_handlers[event].append(handler)

    def with_event_handlers(self, event: TaskiqEvents, *handlers: Handler) -> Self:
        """Call functions when something happens to the broker; return it."""
        self.event_handlers[event].extend(handlers)
        return self

    def add_middlewares(self, *middlewares: TaskiqMiddleware) -> None:
        """Run middlewares around sending and running, the first outermost.

        Raises: BadOption, for what is none.
        """
        for each in middlewares:
            if not isinstance(each, TaskiqMiddleware):
                why = "must be a TaskiqMiddleware of windlass.contrib.taskiq"
                raise BadOption("middlewares", each, why)
            each.set_broker(self)
            self.middlewares.append(each)

    def with_middlewares(self, *middlewares: TaskiqMiddleware) -> Self:
        """Run middlewares around sending and running; return the broker."""
        self.add_middlewares(*middlewares)
        return self

    @abstractmethod
    async def open(self) -> None:
        """Open what the broker needs."""

    @abstractmethod
    async def close(self) -> None:
        """Close what was opened."""

    def add_dependency_context(self, new_ctx: Mapping[Any, Any]) -> None:
        """Give tasks values by what they depend on, instead of making them."""
        self.custom_dependency_context.update(new_ctx)

    async def startup(self) -> None:
        """Call the handlers and middlewares, and open the store; raise if it does not answer.

        In a worker this happens by itself.
        """
        is_worker = self.is_worker_process
        await self.tell(TaskiqEvents.WORKER_STARTUP if is_worker else TaskiqEvents.CLIENT_STARTUP)
        await self.call("startup")
        await self.open()

    async def shutdown(self) -> None:
        """Call the handlers and middlewares, and close the store.  Idempotent."""
        is_worker = self.is_worker_process
        await self.tell(TaskiqEvents.WORKER_SHUTDOWN if is_worker else TaskiqEvents.CLIENT_SHUTDOWN)
        await self.call("shutdown")
        await self.close()

    async def tell(self, event: TaskiqEvents) -> None:
        """Call the handlers of an event."""
        for handler in self.event_handlers[event]:
            await awaited(handler(self.state))

    async def call(self, hook: str) -> None:
        """Call the middlewares' hook of a start, or of a stop."""
        for middleware in self.middlewares:
            await awaited(getattr(middleware, hook)())

    async def __aenter__(self) -> None:
        """Start the broker, as ``startup`` does."""
        await self.startup()

    async def __aexit__(self, *error: object) -> None:
        """Stop the broker, as ``shutdown`` does."""
        await self.shutdown()
