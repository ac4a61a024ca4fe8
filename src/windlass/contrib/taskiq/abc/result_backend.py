"""Where results are: with their jobs."""

from typing import Any, NoReturn

from windlass import App, Job, JobId, ResultExpired, ResultTimeout, State
from windlass.contrib.taskiq.exceptions import (
    PACKAGE,
    ResultGetError,
    TaskiqResultTimeoutError,
    refuse,
)
from windlass.contrib.taskiq.failures import exception_of
from windlass.contrib.taskiq.message import counts, received
from windlass.contrib.taskiq.result import TaskiqResult
from windlass.core.lifecycle import decode_error
from windlass.core.occasion import occasion_of
from windlass.model.jobs import TERMINAL, Finished, headers_of
from windlass.model.outcomes import ErrorInfo

NO_ERROR = "Exception"  # of a job that ended badly before it began


class AsyncResultBackend:
    """The results of a broker's tasks, read from their jobs.

    result_ex_time, result_px_time: seconds, or milliseconds, for which a result is kept; default:
                  as long as its job (the setting ``retention_s``).
    The URL and the options of a connection are of no use: results are in the store of the jobs.
    """

    def __init__(
        self,
        redis_url: Any = None,
        *,
        keep_results: bool = True,
        result_ex_time: int | None = None,
        result_px_time: int | None = None,
        serializer: Any = None,
        **connection: Any,
    ) -> None:
        if not keep_results:
            refuse("keep_results=False", "result_ex_time=… says how long a result is kept")
        if serializer is not None:
            refuse("a serializer of results", "the setting `serializer` says how jobs are stored")
        self.result_ttl_s = result_px_time / 1000 if result_px_time else result_ex_time
        self._broker: Any = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if not cls.__module__.startswith(PACKAGE):
            refuse("a result backend of your own", "results are in the store of the jobs")

    def bind(self, broker: Any) -> None:
        """Serve the results of a broker's tasks."""
        self._broker = broker

    async def startup(self) -> None:
        """Do nothing: the broker opens the store."""

    async def shutdown(self) -> None:
        """Do nothing: the broker closes the store."""

    async def is_result_ready(self, task_id: str) -> bool:
        """Tell whether a task has ended, and with a result.  Raises: JobNotFound."""
        job = await (await self._app.client()).get(JobId(task_id))
        return job.state in TERMINAL and job.state is not State.CANCELLED

    async def wait(self, task_id: str, timeout_s: float | None, check_interval_s: float) -> None:
        """Wait until a task has ended.

        Raises: TaskiqResultTimeoutError, also for a task that has ended without a result;
                ResultGetError for that, where no limit was given; JobNotFound.
        """
        client = await self._app.client()
        try:
            ended = await client.wait([JobId(task_id)], timeout_s=timeout_s)
        except ResultTimeout as error:
            raise TaskiqResultTimeoutError(timeout_s) from error
        if ended[JobId(task_id)].state is State.CANCELLED:
            if timeout_s is None:
                raise ResultGetError(f"task {task_id} has ended, and there is no result of it")
            raise TaskiqResultTimeoutError(timeout_s)

    async def get_result(self, task_id: str, with_logs: bool = False) -> TaskiqResult[Any]:
        """Return the result of a task that has ended.

        Raises: ResultGetError, if it has not; JobNotFound, ResultExpired, ….
        """
        client = await self._app.client()
        job = await client.get(JobId(task_id))
        if job.state not in TERMINAL or job.state is State.CANCELLED:
            raise ResultGetError(f"task {task_id} is {job.state}: there is no result of it")
        ended = (await client.wait([job.id]))[job.id]
        error = None
        if ended.state is not State.SUCCEEDED:
            info = decode_error(ended.error) if ended.error else ErrorInfo(NO_ERROR, "")
            error = exception_of(info)
        whole = await client.whole(ended)
        return TaskiqResult(
            is_err=error is not None,
            return_value=None if error is not None else self._value_of(whole),
            execution_time=_seconds(job),
            labels=self._labels_of(job),
            error=error,
        )

    async def set_result(self, task_id: str, result: TaskiqResult[Any]) -> NoReturn:
        """Refuse: only the attempt that runs a job settles it.  Raises: NotSupported."""
        refuse("set_result", "a job's result is what its attempt returned")

    async def get_progress(self, task_id: str) -> NoReturn:
        """Refuse: there is progress of another kind.  Raises: NotSupported."""
        refuse(
            "progress", "windlass.context().progress(0.4, 'message') in the task, and job.watch()"
        )

    @property
    def _app(self) -> App:
        if self._broker is None:
            raise ResultGetError("this result backend has no broker: broker.with_result_backend(…)")
        app: App = self._broker.windlass_app
        return app

    def _value_of(self, ended: Finished) -> Any:
        if ended.expired_at is not None:
            raise ResultExpired(ended.job_id, ended.task, ended.expired_at)
        return self._app.formats.decode_plain(ended.result)

    def _labels_of(self, job: Job) -> dict[str, Any]:
        task = self._broker.find_task(job.task)
        own = {} if task is None else task.labels
        headers, occasion = headers_of(job.headers), occasion_of(job.headers)
        labels, _ = received(own, self._broker.timetable, headers, occasion)
        return labels | counts(job.failures - (job.state is State.FAILED), job.attempt)


def _seconds(job: Job) -> float:
    if job.started_at is None or job.ended_at is None:
        return 0.0
    return round((job.ended_at - job.started_at).total_seconds(), 2)
