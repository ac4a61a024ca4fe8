"""What both kinds of QueueTasks have: tasks, settings, and the Windlass app behind them."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from windlass import App, Notice, NoticeKind
from windlass.contrib.front_ends.places import store_in
from windlass.contrib.qtasks.attempts import retry_of
from windlass.contrib.qtasks.configs import QueueConfig
from windlass.contrib.qtasks.definitions import check_runnable, defined
from windlass.contrib.qtasks.jobs import Jobs
from windlass.contrib.qtasks.logs import Logger
from windlass.contrib.qtasks.middlewares import BaseMiddleware
from windlass.contrib.qtasks.plain import native_priority
from windlass.contrib.qtasks.refusals import (
    EVENTS,
    HOOKS,
    STORE,
    WORKER,
    refuse_given,
    refused,
)
from windlass.contrib.qtasks.schemas import TaskExecSchema
from windlass.contrib.qtasks.serving import Server
from windlass.contrib.qtasks.state import make_current, shared_tasks
from windlass.errors import BadOption

T = TypeVar("T")


class Front(ABC, Generic[T]):
    """An app as code for qtasks knows it; ``windlass_app`` is the one that does the work.

    name:       of the queue of its jobs, so that several apps may share a store.
    broker_url: the URL of a store (sqlite:///…, postgresql://…); any other is not used, and the
                setting ``store`` says where the jobs are kept; a line of the log tells.
    Raises:     NotSupported, for a broker, a worker or events.
    """

    _in_loop: bool

    def __init__(
        self,
        name: str = "QueueTasks",
        broker_url: str | None = None,
        broker: object = None,
        worker: object = None,
        log: Logger | None = None,
        config: QueueConfig | None = None,
        events: object = None,
    ) -> None:
        refuse_given(broker=(broker, STORE), worker=(worker, WORKER), events=(events, EVENTS))
        store = store_in(broker_url)
        self.name = name
        self.config = config or QueueConfig()
        self.windlass_app = App(store, queues=(name,))
        self.broker_url = None if store else broker_url
        self.tasks: dict[str, TaskExecSchema] = {}
        self.routers: list[Any] = []
        level, form = self.config.logs_default_level_server, self.config.logs_format
        given = log or Logger(name, default_level=level, format=form)
        self.log = given.with_subname("QueueTasks")
        self.jobs = Jobs(self)
        self._server = Server(self.windlass_app, self.log)
        self._middlewares: dict[str, list[type[Any]]] = {"before": [], "after": []}
        self.windlass_app.observe(_FirstUse(self.jobs))
        self.config.subscribe(self._configured)
        if self.config.is_given("max_tasks_process"):
            self.windlass_app.use_settings(concurrency=self.config.max_tasks_process)
        make_current(self)
        for task_func in shared_tasks():
            self.adopt_shared(task_func)

    broker = refused("app.broker", STORE)
    worker = refused("app.worker", WORKER)
    starter = refused("app.starter", WORKER)
    events = refused("app.events", EVENTS)
    plugins = refused("app.plugins", HOOKS)
    add_plugin = refused("app.add_plugin()", HOOKS)
    flush_all = refused(
        "app.flush_all()",
        "app.windlass_app.operations has cancel_all and purge, for what a JobFilter selects",
    )

    # -- defining ------------------------------------------------------------

    @overload
    def task(self, name: Callable[..., Any]) -> T: ...
    @overload
    def task(
        self, name: str | None = None, **options: Any
    ) -> Callable[[Callable[..., Any]], T]: ...
    def task(self, name: str | Callable[..., Any] | None = None, **options: Any) -> Any:
        """Make a task of a function; with or without options.

        options: see ``definitions.defined``; ``priority`` is by default that of the config.
        Raises:  BadTask, for a name that is taken; NotSupported, BadOption.
        """

        def register(function: Callable[..., Any]) -> T:
            task_func = defined(function, name=None if callable(name) else name, **options)
            if options.get("priority") is None:
                task_func.priority = self.config.task_default_priority
            self.adopt(task_func)
            return self._held(task_func)

        return register(name) if callable(name) else register

    def adopt(self, task_func: TaskExecSchema) -> None:
        """Take in a task, of its own or of a router.

        Raises: BadTask, for a name that is taken; NotSupported, for one that cannot run here.
        """
        check_runnable(task_func, in_loop=self._in_loop)
        self.adopt_shared(task_func)

    def adopt_shared(self, task_func: TaskExecSchema) -> None:
        """Take in a task that all apps have; one that cannot run here fails when it is run."""
        name, priority = task_func.name, native_priority(task_func.priority)
        self.windlass_app.task(
            name=name, queue=self.name, priority=priority, retry=retry_of(task_func)
        )(self._attempt(task_func))
        self.tasks[name] = task_func

    def include_router(self, router: Any) -> None:
        """Take in the tasks of a router, also those which it will get later.

        Raises: BadOption, for what is none; as ``adopt``.
        """
        if not hasattr(router, "join"):
            raise BadOption("router", router, "must be a SyncRouter or an AsyncRouter")
        router.join(self)
        if router not in self.routers:
            self.routers.append(router)

    def add_middleware(self, middleware: type[Any], **kwargs: Any) -> None:
        """Run a middleware before all tasks, inside their own; ``position="after"``: after them.

        Raises: BadOption.
        """
        position = kwargs.get("position", "before")
        if position not in self._middlewares:
            raise BadOption("position", position, 'must be "before" or "after"')
        if not (isinstance(middleware, type) and issubclass(middleware, BaseMiddleware)):
            raise BadOption("middleware", middleware, "must be a class based on TaskMiddleware")
        self._middlewares[position].append(middleware)

    def middlewares(self, position: str) -> list[type[Any]]:
        """Return the middleware of all tasks, before or after."""
        return self._middlewares[position]

    @abstractmethod
    def _held(self, task_func: TaskExecSchema) -> T:
        """Return a task as its callers hold it."""

    @abstractmethod
    def _attempt(self, task_func: TaskExecSchema) -> Callable[..., Any]:
        """Return what a worker runs for a task."""

    # -- configuring ---------------------------------------------------------

    def _configured(self, config: QueueConfig, key: str, value: Any) -> None:
        if key == "max_tasks_process":
            self.windlass_app.use_settings(concurrency=value)
        elif key == "logs_default_level_server":
            self.log = self.log.update_logger(default_level=value)


class _FirstUse:
    """An observer of the workers' beginning, which is a use of the app as well."""

    kinds = frozenset({NoticeKind.WORKER_STARTED})

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def __call__(self, notice: Notice) -> None:
        self._jobs.say_where()
