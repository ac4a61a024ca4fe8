"""What an app defines: its settings, its tasks, its schedules, and the app of Windlass for them."""

import importlib
import importlib.util
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, overload

from windlass import App, BadOption, Schedule
from windlass.contrib.celery import current
from windlass.contrib.celery.builtin import define_built_in
from windlass.contrib.celery.canvas import Signature
from windlass.contrib.celery.exceptions import ImproperlyConfigured, refuse
from windlass.contrib.celery.registration import register
from windlass.contrib.celery.registry import Hook, Tasks
from windlass.contrib.celery.schedules import schedules_of
from windlass.contrib.celery.settings import Conf
from windlass.contrib.celery.task import Task
from windlass.contrib.celery.task_options import check_annotation, task_class
from windlass.contrib.front_ends.places import Place, store_in

log = logging.getLogger("windlass.contrib.celery")

# Tasks that were defined for whatever app there will be.
_shared: list[Callable[[Any], Task]] = []


class Definitions:
    """What an app is made of, before it enqueues anything; see ``Celery``."""

    def __init__(
        self,
        main: str | None = None,
        *,
        broker: str | None = None,
        backend: str | None = None,
        include: Iterable[str] = (),
        config_source: Any = None,
        namespace: str | None = None,
        task_cls: Any = None,
        set_as_current: bool = True,
        windlass: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        for name in options:
            refuse(f"Celery({name}=…)", "broker, backend, include, and app.conf")
        self.main = main or "__main__"
        self.conf = Conf()
        self.on_configure, self.on_after_configure, self.on_after_finalize = Hook(), Hook(), Hook()
        self.Task = task_cls or Task
        self._tasks = Tasks()
        self._windlass = dict(windlass or {})
        self._app: App | None = None
        self._is_begun = self._is_final = False
        self._place = Place(log.log)
        self._finalizing = threading.RLock()
        self._modules: list[Callable[[], Iterable[str]]] = []
        self._shared_taken = 0
        if broker is not None:
            self.conf.broker_url = broker
        if backend is not None:
            self.conf.result_backend = backend
        self.conf.include = tuple(include)
        if config_source is not None:
            self.config_from_object(config_source, namespace=namespace)
        if set_as_current:
            self.set_current()

    # -- configuration -------------------------------------------------------

    def config_from_object(
        self, obj: Any, silent: bool = False, force: bool = False, namespace: str | None = None
    ) -> None:
        """Take the settings of a module, by its name or itself, of an object or of a dict.

        Raises: NotSupported, BadOption; ImportError, unless ``silent``.
        """
        try:
            self.conf.load(obj, namespace)
        except ImportError:
            if not silent:
                raise

    def add_defaults(self, settings: Mapping[str, Any]) -> None:
        """Set what is not set yet."""
        self.conf.update({k: v for k, v in settings.items() if self.conf.get(k) is None})

    def autodiscover_tasks(
        self,
        packages: Iterable[str] | Callable[[], Iterable[str]] | None = None,
        related_name: str = "tasks",
        force: bool = False,
    ) -> None:
        """Import the module ``tasks`` of packages, where there is one, before the first use.

        packages: default: the installed apps of Django.
        """
        find = packages if callable(packages) else _of_django if packages is None else None
        named = [] if packages is None or callable(packages) else list(packages)

        def modules() -> Iterable[str]:
            for package in find() if find else named:
                name = f"{package}.{related_name}"
                if importlib.util.find_spec(name) is not None:
                    yield name

        self._modules.append(modules)

    def set_current(self) -> None:
        """Make it the app of shared tasks."""
        current.set_app(self)

    set_default = set_current

    # -- tasks ---------------------------------------------------------------

    @overload
    def task(self, function: Callable[..., Any], /, **options: Any) -> Task: ...
    @overload
    def task(self, /, **options: Any) -> Callable[[Callable[..., Any]], Task]: ...
    def task(self, /, *functions: Callable[..., Any], **options: Any) -> Any:
        """Register a function as a task; with or without options.

        Raises: NotSupported, for an option without a meaning; BadTask, ….
        """

        def made(function: Callable[..., Any]) -> Task:
            return self.register_task(task_class(self, function, options)())

        return made(*functions) if functions else made

    def register_task(self, task: Any, **options: Any) -> Task:
        """Register a task that is an object, or a class, of its own."""
        instance: Task = task() if isinstance(task, type) else task
        kind = type(instance)
        if not instance.name:
            instance.name = f"{kind.__module__}.{kind.__qualname__}"
        known = self._tasks.get(instance.name)
        if known is not None:  # as Celery has it: the first one stays
            return known
        instance.app = self
        self._tasks[instance.name] = instance
        if self._is_final:
            self._register(instance, [])
        return instance

    @property
    def tasks(self) -> Tasks:
        """The tasks by name; shared ones too."""
        while self._shared_taken < len(_shared):
            self._shared_taken += 1
            _shared[self._shared_taken - 1](self)
        return self._tasks

    def finalize(self, auto: bool = False) -> None:
        """Import what ``include`` names, and make all tasks known to workers.  Idempotent.

        Raises: NotSupported, BadOption, BadTask, ImproperlyConfigured; what a module raises.
        """
        if self._is_final:
            return
        with self._finalizing:
            if self._is_begun:  # a module that is being imported asks
                return
            self._is_begun = True
            try:
                self._make_known()
            except AttributeError as error:  # it would look as if this app lacked something
                self._is_begun = False
                raise ImproperlyConfigured(f"the app cannot be put together: {error}") from error
            except BaseException:
                self._is_begun = False
                raise
            self._is_final = True
        self.conf.used()

    def _make_known(self) -> None:
        self.on_configure.send(self)
        self.on_after_configure.send(self)
        self._import_modules()
        define_built_in(self)
        tasks = self.tasks
        self.on_after_finalize.send(self)
        self._take_settings()
        schedules = schedules_of(self, self.conf.beat_schedule or {})
        for task in list(tasks.values()):
            self._register(task, schedules.get(task.name, []))

    def _register(self, task: Task, schedules: list[Schedule]) -> None:
        if task.windlass_task is None:
            self._annotate(task)
            register(task, schedules)

    def _import_modules(self) -> None:
        for name in (*self.conf.include, *self.conf.imports):
            importlib.import_module(name)
        for modules in self._modules:
            for name in modules():
                importlib.import_module(name)

    def _take_settings(self) -> None:
        app = self.windlass_registry
        if self.conf.worker_concurrency:
            app.use_settings(concurrency=int(self.conf.worker_concurrency))
        queues = dict.fromkeys((*app.settings.queues, *self.conf.queues()))
        app.use_settings(queues=tuple(queues))

    def _annotate(self, task: Task) -> None:
        annotations = self.conf.task_annotations or {}
        for name in ("*", task.name):
            for option, value in annotations.get(name, {}).items():
                check_annotation(name, option)
                setattr(type(task), option, value)  # of the class: a handler is given the task

    def add_periodic_task(
        self, schedule: Any, sig: Signature, args: Any = (), kwargs: Any = None,
        name: str | None = None, **options: Any,
    ) -> str:  # fmt: skip
        """Add a schedule; before the first use of the app, best in ``on_after_configure``."""
        if not isinstance(sig, Signature):
            raise TypeError(f"{sig!r} is no signature: use task.s(…)")
        ready = sig.clone(args, kwargs)
        key = name or repr(ready)
        entry = {"task": ready.task, "schedule": schedule, "args": ready.args,
                 "kwargs": ready.kwargs, "options": options}  # fmt: skip
        self.conf.beat_schedule = {**self.conf.beat_schedule, key: entry}
        return key

    # -- the app of Windlass --

    @property
    def celery_broker(self) -> str | None:
        """The broker of Celery that was given; None for a URL of Windlass or none at all."""
        given = self.conf.broker_url
        urls = ";".join(given) if isinstance(given, list | tuple) else given
        return None if store_in(urls) else urls or None

    @property
    def windlass_registry(self) -> App:
        """The app of Windlass, perhaps without all tasks yet; see ``windlass_app``."""
        if self._app is None:
            self._app = App(**{"store": store_in(self.conf.broker_url), **self._windlass})
        return self._app

    @property
    def windlass_app(self) -> App:
        """The app of Windlass, with all tasks."""
        self.finalize()
        return self.windlass_registry


def share(make: Callable[[Any], Task]) -> None:
    """Have a task made for each app that there is and will be."""
    _shared.append(make)


def _of_django() -> list[str]:
    """Return the installed apps of Django, which is set up if nobody has done that."""
    if "django" not in sys.modules and "DJANGO_SETTINGS_MODULE" not in os.environ:
        raise BadOption("packages", None, "name them: there is no Django here")
    apps = importlib.import_module("django.apps").apps
    if not apps.ready:
        importlib.import_module("django").setup()
    return [config.name for config in apps.get_app_configs()]
