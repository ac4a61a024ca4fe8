"""Prometheus metrics of what an app and its workers do."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from threading import Lock

from windlass import Notice, NoticeKind
from windlass.errors import MissingExtra

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Metric
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )
    from prometheus_client.registry import Collector
except ImportError as error:
    raise MissingExtra("metrics", "prometheus_client") from error

STARTED = NoticeKind.STARTED  # Python looks the member of an enum up slowly
LABELS = ("task", "queue")
SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1800.0)


class Metrics(Collector):
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
        self._lock = Lock()
        self._tasks: dict[tuple[str, str], _OfTask] = {}
        self._lost = 0
        self._workers = 0
        registry.register(self)

    def __call__(self, notice: Notice) -> None:
        """Count one notice.

        In numbers of its own, which become metrics when somebody asks for them: each of the
        library's takes a lock and some look-ups, six times a job.
        """
        task = notice.task
        if task is None:
            self._count_of_worker(notice)
            return
        kind, seconds = notice.kind, notice.seconds
        key = task, notice.queue or ""
        with self._lock:
            of_task = self._tasks.get(key)
            if of_task is None:
                of_task = self._tasks[key] = _OfTask()
            told = of_task.told
            told[kind] = told.get(kind, 0) + 1
            if seconds is not None:
                of_task.running -= 1
                of_task.seconds += seconds
                of_task.buckets[bisect_left(SECONDS, seconds)] += 1
            elif kind is STARTED:
                of_task.running += 1

    def _count_of_worker(self, notice: Notice) -> None:
        with self._lock:
            match notice.kind:
                case NoticeKind.WORKER_STARTED:
                    self._workers += 1
                case NoticeKind.WORKER_STOPPED:
                    self._workers -= 1
                case NoticeKind.LOST:
                    self._lost += notice.count

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they stand; called by the library."""
        jobs = CounterMetricFamily(
            "windlass_jobs", "What has happened to jobs.", labels=(*LABELS, "what")
        )
        running = GaugeMetricFamily(
            "windlass_attempts_running", "Attempts in progress.", labels=LABELS
        )
        seconds = HistogramMetricFamily(
            "windlass_attempt_seconds", "How long attempts ran.", labels=LABELS
        )
        bounds = (*map(str, SECONDS), "+Inf")
        with self._lock:
            for labels, of_task in self._tasks.items():
                for kind, count in of_task.told.items():
                    jobs.add_metric((*labels, kind), count)
                running.add_metric(labels, of_task.running)
                buckets = list(zip(bounds, accumulate(of_task.buckets), strict=True))
                seconds.add_metric(labels, buckets, of_task.seconds)
            lost, workers = self._lost, self._workers
        yield from (jobs, running, seconds)
        yield CounterMetricFamily(
            "windlass_jobs_lost", "Jobs taken back from lost workers.", value=lost
        )
        yield GaugeMetricFamily("windlass_workers", "Workers of this process.", value=workers)


class _OfTask:
    """The numbers of one task in one queue; ``buckets``: attempts by the first bound they meet."""

    __slots__ = ("buckets", "running", "seconds", "told")

    def __init__(self) -> None:
        self.told: dict[NoticeKind, int] = {}
        self.running = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(SECONDS) + 1)
