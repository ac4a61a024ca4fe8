"""What the deployer must change."""

from windlass.errors.roots import ConfigurationError


class BadSetting(ConfigurationError):
    """A setting has a value that cannot be used."""

    def __init__(self, name: str, value: object, why: str, source: str = "argument") -> None:
        super().__init__(name, value, why, source)
        self.name = name
        self.value = value
        self.why = why
        self.source = source

    def __str__(self) -> str:
        return f"setting {self.name} = {self.value!r} (from {self.source}): {self.why}"


class UnknownSetting(ConfigurationError):
    """No setting has this name."""

    def __init__(self, name: str, source: str, near: str | None = None) -> None:
        super().__init__(name, source, near)
        self.name = name
        self.source = source
        self.near = near

    def __str__(self) -> str:
        hint = f"; did you mean {self.near!r}?" if self.near else ""
        return f"unknown setting {self.name!r} in {self.source}{hint}"


class BadStoreUrl(ConfigurationError):
    """No store answers to this URL."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(url, why)
        self.url = url
        self.why = why

    def __str__(self) -> str:
        return (
            f"store URL {self.url!r}: {self.why}; "
            "use sqlite:///path/to/file.db or postgresql://user@host/database"
        )


class BadBroker(ConfigurationError):
    """No drain reads from the broker of this URL."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(url, why)
        self.url = url
        self.why = why

    def __str__(self) -> str:
        return (
            f"broker URL {self.url!r}: {self.why}; "
            "a drain reads from redis://, rediss://, amqp:// and amqps://"
        )


class MissingExtra(ConfigurationError):
    """An optional dependency is not installed."""

    def __init__(self, extra: str, module: str) -> None:
        super().__init__(extra, module)
        self.extra = extra
        self.module = module

    def __str__(self) -> str:
        return (
            f"this needs the module {self.module!r}, which is not installed: "
            f"pip install 'windlass[{self.extra}]'"
        )


class BadLargeResults(ConfigurationError):
    """Large results cannot be kept where the setting ``large_results`` says."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(url, why)
        self.url = url
        self.why = why

    def __str__(self) -> str:
        return (
            f"setting large_results = {self.url!r}: {self.why}; "
            "use file:///path/to/folder, s3://bucket/prefix, gs://bucket/prefix or "
            "az://container/prefix"
        )


class LargeResultsOff(ConfigurationError):
    """A result lies among the large results, and this process has no way there."""

    def __init__(self, job_id: str, size_bytes: int) -> None:
        super().__init__(job_id, size_bytes)
        self.job_id = job_id
        self.size_bytes = size_bytes

    def __str__(self) -> str:
        return (
            f"the result of job {self.job_id}, {self.size_bytes:,} bytes, lies among the large "
            "results, and this process has no setting large_results: give it that of the workers"
        )


class OtherStoreInChild(ConfigurationError):
    """In a child process of a worker the app has another store than the worker has."""

    def __init__(self, worker_url: str, own_url: str) -> None:
        super().__init__(worker_url, own_url)
        self.worker_url = worker_url
        self.own_url = own_url

    def __str__(self) -> str:
        return (
            f"in this child process the app's store is {self.own_url}, but its worker has "
            f"{self.worker_url}: child processes are given neither WINDLASS_* variables nor "
            "--store; name the store in the code or in windlass.toml, for instance as "
            "App(os.environ['DATABASE_URL']), or ask from a task without isolation=\"process\""
        )


class AppNotFound(ConfigurationError):
    """`module:app` does not lead to an App."""

    def __init__(self, target: str, why: str) -> None:
        super().__init__(target, why)
        self.target = target
        self.why = why

    def __str__(self) -> str:
        return (
            f"cannot load the app {self.target!r}: {self.why}; "
            "name it as module:attribute, for instance myproject.jobs:app"
        )


class BadTask(ConfigurationError):
    """A task is defined in a way that cannot be kept."""

    def __init__(self, task: str, why: str) -> None:
        super().__init__(task, why)
        self.task = task
        self.why = why

    def __str__(self) -> str:
        return f"task {self.task!r}: {self.why}"


class BadDag(ConfigurationError):
    """A DAG is declared in a way that cannot be kept."""

    def __init__(self, dag: str, why: str) -> None:
        super().__init__(dag, why)
        self.dag = dag
        self.why = why

    def __str__(self) -> str:
        return f"DAG {self.dag!r}: {self.why}"


class UnknownSerializer(ConfigurationError):
    """Nothing in this process reads or writes the format that a payload or a setting names."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return (
            f"there is no serializer {self.name!r} here: give it to app.add_serializer(…) before "
            "the tasks are defined, or run a Windlass that has it; built in are json, msgpack "
            "and pickle"
        )


class PickleRefused(ConfigurationError):
    """A pickle was not written, or not read: its task and a key must both allow it."""

    def __init__(self, task: str | None, why: str) -> None:
        super().__init__(task, why)
        self.task = task
        self.why = why

    def __str__(self) -> str:
        whose = "" if self.task is None else f" of task {self.task!r}"
        return (
            f"pickle{whose} refused: {self.why}; enqueuers and workers need "
            '@app.task(serializer="pickle") and the same setting pickle_key'
        )


class LifespanBroke(ConfigurationError):
    """An app's lifespan raised at its start, so nothing was claimed, or at its end."""

    def __init__(self, when: str, error: str) -> None:
        super().__init__(when, error)
        self.when = when
        self.error = error

    def __str__(self) -> str:
        return f"the lifespan of the app raised at its {self.when}: {self.error}"


class ServiceBroke(ConfigurationError):
    """A service of the worker raised at its start, so nothing was claimed, or at its end."""

    def __init__(self, service: str, when: str, error: str) -> None:
        super().__init__(service, when, error)
        self.service = service
        self.when = when
        self.error = error

    def __str__(self) -> str:
        return f"the worker's service {self.service} raised at its {self.when}: {self.error}"


class AppNotConnected(ConfigurationError):
    """A web application knows no Windlass app: nobody has connected the two."""

    def __init__(self, way: str) -> None:
        super().__init__(way)
        self.way = way

    def __str__(self) -> str:
        return f"this application is connected with no Windlass app: use {self.way}"


class CannotListen(ConfigurationError):
    """An address cannot be listened at: it is taken, or is none of this machine."""

    def __init__(self, host: str, port: int, why: str) -> None:
        super().__init__(host, port, why)
        self.host = host
        self.port = port
        self.why = why

    def __str__(self) -> str:
        return f"cannot listen at {self.host}:{self.port}: {self.why}; name another address"


class BadMiddleware(ConfigurationError):
    """A middleware has none of the shapes there are."""

    def __init__(self, middleware: str, why: str) -> None:
        super().__init__(middleware, why)
        self.middleware = middleware
        self.why = why

    def __str__(self) -> str:
        return f"middleware {self.middleware}: {self.why}"


class SchemaMissing(ConfigurationError):
    """The store holds no Windlass tables, or older ones."""

    def __init__(self, url: str, found: int, wanted: int) -> None:
        super().__init__(url, found, wanted)
        self.url = url
        self.found = found
        self.wanted = wanted

    def __str__(self) -> str:
        return (
            f"store {self.url}: its schema is at version {self.found}, "
            f"this Windlass needs {self.wanted}; run: windlass migrate --store {self.url}"
        )


class SchemaTooNew(ConfigurationError):
    """The store was migrated by a newer Windlass than this one."""

    def __init__(self, url: str, found: int, wanted: int) -> None:
        super().__init__(url, found, wanted)
        self.url = url
        self.found = found
        self.wanted = wanted

    def __str__(self) -> str:
        return (
            f"store {self.url}: its schema is at version {self.found}, newer than the "
            f"{self.wanted} this Windlass knows; upgrade the package on this machine"
        )


class StoreCorrupt(ConfigurationError):
    """The store's file is damaged, or is no database."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(url, why)
        self.url = url
        self.why = why

    def __str__(self) -> str:
        return (
            f"store {self.url} is damaged or is not a database ({self.why}); "
            "restore it from a backup, or name another file"
        )


class StoreReadOnly(ConfigurationError):
    """The store cannot be written."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(url, why)
        self.url = url
        self.why = why

    def __str__(self) -> str:
        return (
            f"store {self.url} cannot be written ({self.why}); "
            "give this user write access to the file and to its folder"
        )


class SqliteTooOld(ConfigurationError):
    """The SQLite library on this machine can lose a commit."""

    def __init__(self, found: str, least: str) -> None:
        super().__init__(found, least)
        self.found = found
        self.least = least

    def __str__(self) -> str:
        return (
            f"SQLite {self.found} can lose a commit when its log is reset; "
            f"{self.least} or later is needed: pip install --upgrade apsw"
        )


class SqliteOpenTwice(ConfigurationError):
    """Two copies of the SQLite library have the store's file open in one process."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url

    def __str__(self) -> str:
        return (
            f"store {self.url}: this process has the file open through another copy of SQLite "
            "(Python's sqlite3), and two copies in one process damage it; close that connection "
            "first, use apsw for it, or another process"
        )


class ZoneDataMissing(ConfigurationError):
    """This machine has no data of time zones at all."""

    def __init__(self, zone: str) -> None:
        super().__init__(zone)
        self.zone = zone

    def __str__(self) -> str:
        return (
            f"time zone {self.zone!r}: this machine has no time zone data, neither in a package "
            "nor of its system: pip install tzdata"
        )


class BrokenSchedule(ConfigurationError):
    """A stored schedule cannot be worked out by this installation."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(name, why)
        self.name = name
        self.why = why

    def __str__(self) -> str:
        return f"schedule {self.name!r} cannot be worked out here: {self.why}"
