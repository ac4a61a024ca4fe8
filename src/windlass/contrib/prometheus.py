"""Prometheus metrics of what an app and its workers do."""

from dataclasses import dataclass

from windlass import Notice, NoticeKind
from windlass.errors import MissingExtra

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
except ImportError as error:
    raise MissingExtra("metrics", "prometheus_client") from error

STARTED = NoticeKind.STARTED  # Python looks the member of an enum up slowly
LABELS = ("task", "queue")
SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1800.0)


class Metrics:
    """An observer that counts: ``app.observe(Metrics())``.

    registry: where the metrics are found; default: the library's own, which
              ``prometheus_client.start_http_server(port)`` serves.

    ``windlass_jobs_total{task,queue,what}``: notices by kind.
    ``windlass_attempts_running{task,queue}``: attempts in progress in this process.
    ``windlass_attempt_seconds{task,queue}``: how long attempts ran, whatever came of them.
    ``windlass_jobs_lost_total``: jobs taken back from workers whose lease had ended.
    ``windlass_workers``: workers that run in this process.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._jobs = Counter(
            "windlass_jobs", "What has happened to jobs.", (*LABELS, "what"), registry=registry
        )
        self._running = Gauge(
            "windlass_attempts_running", "Attempts in progress.", LABELS, registry=registry
        )
        self._seconds = Histogram(
            "windlass_attempt_seconds",
            "How long attempts ran.",
            LABELS,
            buckets=SECONDS,
            registry=registry,
        )
        self._lost = Counter(
            "windlass_jobs_lost", "Jobs taken back from lost workers.", registry=registry
        )
        self._workers = Gauge("windlass_workers", "Workers of this process.", registry=registry)

        self._tasks: dict[tuple[str | None, str | None], _OfTask] = {}

    def __call__(self, notice: Notice) -> None:
        """Count one notice."""
        if notice.task is None:
            self._count_of_worker(notice)
            return
        of_task = self._tasks.get((notice.task, notice.queue)) or self._look_up(notice)
        of_task.told[notice.kind].inc()
        if notice.seconds is not None:
            of_task.running.dec()
            of_task.seconds.observe(notice.seconds)
        elif notice.kind is STARTED:
            of_task.running.inc()

    def _count_of_worker(self, notice: Notice) -> None:
        match notice.kind:
            case NoticeKind.WORKER_STARTED:
                self._workers.inc()
            case NoticeKind.WORKER_STOPPED:
                self._workers.dec()
            case NoticeKind.LOST:
                self._lost.inc(notice.count)

    def _look_up(self, notice: Notice) -> "_OfTask":
        labels = (notice.task, notice.queue)
        found = _OfTask(
            running=self._running.labels(*labels),
            seconds=self._seconds.labels(*labels),
            told=_Told(self._jobs, labels),
        )
        return self._tasks.setdefault(labels, found)


class _Told(dict[NoticeKind, Counter]):
    """The counter of each kind of one task, made when the kind is first told."""

    def __init__(self, jobs: Counter, labels: tuple[str | None, ...]) -> None:
        self._jobs = jobs
        self._labels = labels

    def __missing__(self, kind: NoticeKind) -> Counter:
        counter = self[kind] = self._jobs.labels(*self._labels, kind)
        return counter


@dataclass(frozen=True, slots=True)
class _OfTask:
    """The metrics of one task in one queue, looked up once."""

    running: Gauge
    seconds: Histogram
    told: _Told
