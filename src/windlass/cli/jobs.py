"""``windlass jobs …``: look at jobs, and act on them."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
import typer

from windlass.app import App
from windlass.cli.options import AsJson, Store, ask, json_object
from windlass.cli.output import decoded, print_facts, print_json, print_table
from windlass.core.lifecycle import decode_error
from windlass.core.operations import Changes
from windlass.core.steps import is_step
from windlass.engine.client import Client
from windlass.errors import JobNotFailed, JobNotFound, JobNotWaiting, WindlassError
from windlass.model.jobs import Event, Finished, Job, JobFilter, JobId, State
from windlass.model.progress import Progress

ACTOR = "cli"
PAGE = 1_000

QueueName = Annotated[str | None, typer.Option(help="Only jobs of this queue.")]
States = Annotated[list[State] | None, typer.Option("--state", help="Only in this state.")]
Every = Annotated[bool, typer.Option("--all", help="All jobs that fit, not single ones.")]

commands = typer.Typer(help="Look at jobs, and act on them.", no_args_is_help=True)

Ids = Annotated[list[str] | None, typer.Argument(metavar="JOB...", help="Ids of jobs.")]
TaskName = Annotated[str | None, typer.Option(help="Only jobs of this task.")]
ErrorType = Annotated[str | None, typer.Option(help="Only jobs that failed with this error.")]
All = Annotated[bool, typer.Option("--all", help="All dead letters that fit, not single jobs.")]


@commands.command("list")
def list_jobs(
    state: Annotated[list[State] | None, typer.Option(help="Only in this state.")] = None,
    task: TaskName = None,
    queue: Annotated[str | None, typer.Option(help="Only of this queue.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=PAGE, help="At most so many.")] = 50,
    before: Annotated[str | None, typer.Option(help="Go on after the last id shown.")] = None,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """List jobs, the newest first.

    Exit code: 0, or 3 without a store.
    """
    where = JobFilter(states=tuple(state) if state else None, task=task, queue=queue)
    last = None if before is None else JobId(before)
    found = ask(store, lambda client: client.jobs(where, limit=limit, before=last))
    if as_json:
        print_json([_as_data(job) for job in found])
        return 0
    columns = ("id", "task", "queue", "state", "reason", "attempt", "created")
    rows = [
        (job.id, job.task, job.queue, job.state, job.reason, job.attempt, job.created_at)
        for job in found
    ]
    print_table(columns, rows, empty="no jobs")
    return 0


@commands.command("show")
def show(job_id: str, store: Store = None, as_json: AsJson = False) -> int:
    """Show all that is known of a job: arguments, result or error, history.

    A large result that cannot be fetched is described.
    Exit code: 0, 1 if there is no such job, 3 without a store.
    """

    async def look(client: Client) -> tuple[Job, Progress | None, list[Event]]:
        one = JobId(job_id)
        return await client.get(one), await client.progress(one), await client.events(one)

    app = App(store)
    try:
        job, progress, events = app.blocking(look)
        result = _result_of(app, job)
    finally:
        app.close()
    told = None if progress is None else _progress_data(progress)
    data = {**_as_data(job), "result": result, "progress": told}
    history = [_event_data(event) for event in events]
    if as_json:
        print_json({**data, "events": history})
        return 0
    error = data.pop("error")
    print_facts({name: value for name, value in data.items() if value is not None})
    if error is not None:
        print_facts({"error": error["traceback"] or f"{error['type']}: {error['message']}"})
    if history:
        columns = ("at", "before", "after", "reason", "attempt", "fence", "worker", "actor")
        print_table(columns, [[line[name] for name in columns] for line in history], empty="")
    return 0


@commands.command("watch")
def watch(
    job_id: str,
    timeout: Annotated[float | None, typer.Option(min=0, help="Seconds; else for ever.")] = None,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Print how far a job is, live, and how it ended.

    With --json each line is a document.
    Exit code: 0 if it succeeded, 1 if it did not, or does not exist, 3 without a store.
    """
    app = App(store)
    try:
        job = app.job(job_id)
        for progress in job.watch(timeout):
            data = _progress_data(progress)
            line = _line(data) if as_json else f"{progress.fraction:7.1%}  {progress.message}"
            print(line, flush=True)
        state = job.job().state
    finally:
        app.close()
    print(_line({"state": state}) if as_json else state)
    return 0 if state is State.SUCCEEDED else 1


@commands.command("counts")
def counts(store: Store = None, as_json: AsJson = False) -> int:
    """Count jobs by queue and state.

    Exit code: 0, or 3 without a store.
    """
    found = ask(store, lambda client: client.counts())
    rows = [(queue, state, count) for (queue, state), count in sorted(found.items())]
    if as_json:
        print_json([{"queue": q, "state": s, "count": n} for q, s, n in rows])
    else:
        print_table(("queue", "state", "count"), rows, empty="no jobs")
    return 0


@commands.command("dead")
def dead(store: Store = None, as_json: AsJson = False) -> int:
    """Group the failed jobs that nobody has retried or discarded, by task and error.

    Exit code: 0, or 3 without a store.
    """
    groups = ask(store, lambda client: client.dead_letters(limit=PAGE))
    if as_json:
        print_json(groups)
        return 0
    columns = ("task", "error", "reason", "count", "first", "last", "sample")
    rows = [
        (g.task, g.error_type, g.reason, g.count, g.first_at, g.last_at, g.sample) for g in groups
    ]
    print_table(columns, rows, empty="no dead letters")
    return 0


@commands.command("cancel")
def cancel(
    ids: Ids = None,
    state: States = None,
    task: TaskName = None,
    queue: QueueName = None,
    everything: Every = False,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Cancel jobs that have not started; ask those that run to stop.

    Exit code: 0, 1 if one of them does not exist, 3 without a store.
    """
    if everything:
        where = _filter(ids, state, task, queue)
        count = ask(store, lambda client: client.cancel_all(where, actor=ACTOR))
        return _told("cancelled", count, as_json)

    async def act(client: Client, job_id: JobId) -> dict[str, Any]:
        return {"id": job_id, "state": await client.cancel(job_id, actor=ACTOR)}

    return _act(store, _named(ids), act, as_json)


@commands.command("reschedule")
def reschedule(
    ids: Ids = None,
    delay: Annotated[float, typer.Option(min=0, help="Seconds from now; 0: at once.")] = 0.0,
    state: States = None,
    task: TaskName = None,
    queue: QueueName = None,
    everything: Every = False,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Have jobs that have not started start at once, or later.

    Exit code: 0, 1 if one of them has started or does not exist, 3 without a store.
    """
    if everything:
        where = _filter(ids, state, task, queue)
        count = ask(store, lambda client: client.reschedule_all(where, delay, actor=ACTOR))
        return _told("rescheduled", count, as_json)

    async def act(client: Client, job_id: JobId) -> dict[str, Any]:
        return {"id": job_id, "state": await client.reschedule(job_id, delay, actor=ACTOR)}

    return _act(store, _named(ids), act, as_json)


@commands.command("purge")
def purge(
    state: Annotated[list[State], typer.Option(help="Only jobs that ended so.")],
    task: TaskName = None,
    queue: QueueName = None,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Delete jobs that have ended, with their history; dead letters too, if you say failed.

    Exit code: 0, or 3 without a store.
    """
    where = JobFilter(states=tuple(state), task=task, queue=queue)
    return _told("deleted", ask(store, lambda client: client.purge(where)), as_json)


@commands.command("retry")
def retry(
    ids: Ids = None,
    task: TaskName = None,
    error: ErrorType = None,
    everything: All = False,
    queue: Annotated[str | None, typer.Option(help="The queue of the new jobs.")] = None,
    priority: Annotated[int | None, typer.Option(help="The priority of the new jobs.")] = None,
    arguments: Annotated[
        str | None, typer.Option(help="A JSON object: arguments over the old ones.")
    ] = None,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Enqueue failed jobs once more, each as a new job linked to the old one.

    With --all, steps of runs are left out: their run is retried.

    Exit code: 0, 1 if one of them has not failed, 3 without a store.
    """
    new_id = App(store).new_job_id
    changes = Changes(queue, priority, json_object("arguments", arguments))

    async def act(client: Client, job_id: JobId) -> dict[str, Any]:
        made = await client.retry(job_id, new_id(), changes=changes, actor=ACTOR)
        return {"id": job_id, "new": made}

    chosen = _chosen(ids, task, error, everything, store, but_steps=True)
    return _act(store, chosen, act, as_json)


@commands.command("discard")
def discard(
    ids: Ids = None,
    task: TaskName = None,
    error: ErrorType = None,
    everything: All = False,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Take failed jobs off the dead letters; they stay in the history.

    Exit code: 0, 1 if one of them is no dead letter, 3 without a store.
    """

    async def act(client: Client, job_id: JobId) -> dict[str, Any]:
        [discarded] = await client.discard([job_id], actor=ACTOR)
        if not discarded:
            raise JobNotFailed(job_id, (await client.get(job_id)).state)
        return {"id": job_id, "discarded": True}

    return _act(store, _chosen(ids, task, error, everything, store), act, as_json)


def _act(
    store: str | None,
    ids: list[JobId],
    act: Callable[[Client, JobId], Awaitable[dict[str, Any]]],
    as_json: bool,
) -> int:
    """Do one thing to each job; those that refuse are told, and the others still done."""

    async def act_on_all(client: Client) -> list[dict[str, Any]]:
        answers = []
        for job_id in ids:
            try:
                answers.append(await act(client, job_id))
            except (JobNotFound, JobNotFailed, JobNotWaiting) as error:
                answers.append({"id": job_id, "error": str(error)})
        return answers

    answers = ask(store, act_on_all)
    if as_json:
        print_json(answers)
    else:
        for answer in answers:
            print("  ".join(str(value) for value in answer.values()))
    return 1 if any("error" in answer for answer in answers) else 0


def _filter(
    ids: list[str] | None, state: list[State] | None, task: str | None, queue: str | None
) -> JobFilter:
    if ids:
        raise typer.BadParameter("give either jobs or --all, not both")
    return JobFilter(states=tuple(state) if state else None, task=task, queue=queue)


def _told(done: str, count: int, as_json: bool) -> int:
    print_json({done: count}) if as_json else print(f"{done}: {count}")
    return 0


def _named(ids: list[str] | None) -> list[JobId]:
    if not ids:
        raise typer.BadParameter("name at least one job")
    return [JobId(one) for one in ids]


def _chosen(
    ids: list[str] | None,
    task: str | None,
    error: str | None,
    everything: bool,
    store: str | None,
    *,
    but_steps: bool = False,
) -> list[JobId]:
    """Return the jobs named, or with --all every dead letter that fits; or but those of runs."""
    if not everything:
        if task or error:
            raise typer.BadParameter("--task and --error choose among all dead letters: add --all")
        return _named(ids)
    if ids:
        raise typer.BadParameter("give either jobs or --all, not both")

    async def find(client: Client) -> list[JobId]:
        where = JobFilter(task=task, error_type=error, unresolved=True)
        found: list[JobId] = []
        before = None
        while page := await client.jobs(where, limit=PAGE, before=before):
            found += [job.id for job in page if not (but_steps and is_step(job))]
            before = page[-1].id
        return found

    return ask(store, find)


def _as_data(job: Job) -> dict[str, Any]:
    data = msgspec.structs.asdict(job)
    data["arguments"] = decoded(data.pop("payload"))
    data["result"] = decoded(job.result)
    data["error"] = None if job.error is None else _error_data(job.error)
    return data


def _result_of(app: App, job: Job) -> Any:
    ended = Finished(job.id, job.task, job.state, job.reason, job.result, job.error)
    try:
        return decoded(app.whole(ended).result)
    except WindlassError as error:
        return f"({error})"


def _progress_data(progress: Progress) -> dict[str, Any]:
    return msgspec.structs.asdict(progress)


def _line(data: dict[str, Any]) -> str:
    return msgspec.json.encode(data).decode()


def _error_data(error: bytes) -> dict[str, Any]:
    return msgspec.structs.asdict(decode_error(error))


def _event_data(event: Event) -> dict[str, Any]:
    data = msgspec.structs.asdict(event)
    data["error"] = None if event.error is None else _error_data(event.error)
    return data
