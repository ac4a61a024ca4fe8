"""Prometheus metrics of what an app and its workers do."""

from typing import Any

from windlass import Notice, NoticeKind
from windlass.errors import MissingExtra

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
except ImportError as error:
    raise MissingExtra("metrics", "prometheus_client") from error

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
        self._children: dict[tuple[Any, ...], Any] = {}
        self._workers = Gauge("windlass_workers", "Workers of this process.", registry=registry)

    def __call__(self, notice: Notice) -> None:
        """Count one notice."""
        match notice.kind:
            case NoticeKind.WORKER_STARTED:
                self._workers.inc()
            case NoticeKind.WORKER_STOPPED:
                self._workers.dec()
            case NoticeKind.LOST:
                self._lost.inc(notice.count)
            case kind:
                of_task = (notice.task, notice.queue)
                self._child(self._jobs, *of_task, kind).inc()
                if kind is NoticeKind.STARTED:
                    self._child(self._running, *of_task).inc()
                elif notice.seconds is not None:
                    self._child(self._running, *of_task).dec()
                    self._child(self._seconds, *of_task).observe(notice.seconds)

    def _child(self, metric: Any, *labels: str | None) -> Any:
        """Return the metric of these labels; the library's own look-up costs five times as much."""
        key = (metric, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*labels)
        return child
