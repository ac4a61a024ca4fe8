"""``windlass demo``: real work over two workers, one of them killed half way, then checked."""

import contextlib
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from windlass.app import App
from windlass.cli.supervisor import Lifeline, ending, worker_command
from windlass.model.jobs import TERMINAL, Job, JobFilter, JobId, State

if TYPE_CHECKING:
    from rich.console import Console

    from windlass.cli.demo_app import FileFacts

TARGET = "windlass.cli.demo_app:app"
WORKERS, CONCURRENCY = 2, 4
SETTINGS = {
    "WINDLASS_LEASE_S": "3",
    "WINDLASS_RENEW_S": "1",
    "WINDLASS_SWEEP_INTERVAL_S": "0.25",
    "PYTHONWARNINGS": "ignore",  # the sources are read, not judged
}
START_S, STALL_S, STOP_S = 30.0, 60.0, 10.0
LOOK_S = 0.05
PAGE = 1_000
LARGEST = 5
PLAIN_WIDTH = 110
FAULTS_SHOWN = 10
LOG_TAIL_CHARS = 2_000


def demo(
    folder: Annotated[
        Path | None, typer.Option(help="Where to make the demo's own folder.", file_okay=False)
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the folder with the store.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, hidden=True)] = None,
) -> int:
    """Index Python's standard library with two workers, kill one half way, check everything.

    Exit code: 0 if each file was done exactly once, 1 otherwise.
    """
    import shutil
    import tempfile

    from rich.console import Console

    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="windlass-demo-", dir=folder)).resolve()
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    console = Console(highlight=False, markup=False, width=width)
    try:
        is_right = Demo(sources()[:limit], place, console).run()
        _tell_what_next(console, f"sqlite:///{place}/demo.db" if keep else None)
    finally:
        if not keep:
            shutil.rmtree(place)
    return 0 if is_right else 1


def sources() -> list[Path]:
    """Return the source files of the running Python's standard library, sorted."""
    root = Path(sysconfig.get_path("stdlib"))
    others = {"site-packages", "dist-packages"}
    found = (path for path in root.rglob("*.py") if not others & set(path.parts))
    return sorted(path for path in found if path.is_file())


class Demo:
    """One run: a store, a fleet of workers, the work and the check."""

    def __init__(self, files: Sequence[Path], place: Path, console: "Console") -> None:
        from windlass.cli import demo_app

        self._files = files
        self._console = console
        self._index_file = demo_app.index_file
        self._app = demo_app.app
        self._fleet = Fleet(f"sqlite:///{place}/demo.db", place)
        self._app.settings = replace(self._app.settings, store=self._fleet.store_url)

    def run(self) -> bool:
        """Do all of it; tell whether everything holds."""
        try:
            if not self._files:
                faults = ["this Python has no source files of its standard library"]
            else:
                faults = self._work_and_check()
        finally:
            self._app.close()
        for fault in faults[:FAULTS_SHOWN]:
            self._say(f"WRONG: {fault}")
        if len(faults) > FAULTS_SHOWN:
            self._say(f"… and {len(faults) - FAULTS_SHOWN:,} more faults")
        return not faults

    def _work_and_check(self) -> list[str]:
        n = len(self._files)
        self._say(f"{n:,} source files of {sysconfig.get_path('stdlib')}")
        try:
            with self._fleet as fleet:
                ids, seconds = self._work(fleet)
        except Stuck as stuck:
            return [f"{stuck}\n{self._fleet.logs()}"]
        self._say(f"{n:,} jobs in {seconds:.1f} s: {n / seconds:,.0f} jobs/s over the whole run")
        expected = self._plain_loop()
        jobs = _all_jobs(self._app)
        faults = check(ids, jobs, expected, self._index_file.spec.signature.decode_result)
        faults += [f"the worker that was left {ending(c)}" for c in self._fleet.codes if c]
        self._show(ids, jobs, expected)
        if not faults:
            self._say(verdict(n, sum(job.losses > 0 for job in jobs.values())))
        return faults

    # -- working -------------------------------------------------------------

    def _work(self, fleet: "Fleet") -> tuple[list[JobId], float]:
        """Run the jobs with a kill half way; return their ids and the seconds it took."""
        _await(lambda: len(self._workers()) == WORKERS, fleet, "the workers did not start")
        self._say(f"{WORKERS} workers are ready: processes {_list(fleet.pids)}")
        began = time.monotonic()
        handles = self._app.enqueue_many([self._index_file.prepare(path) for path in self._files])
        enqueued_s = time.monotonic() - began
        self._say(f"{len(handles):,} jobs enqueued, one per file, in {enqueued_s:.2f} s")
        with _progress(self._console, "jobs done", len(handles)) as show:
            self._await_ended(len(handles) // 2, fleet, show)
            pid, held = self._kill_one(fleet)
            self._say(f"process {pid} killed with SIGKILL while it held {held} jobs")
            self._await_ended(len(handles), fleet, show)
        return [handle.id for handle in handles], time.monotonic() - began

    def _await_ended(self, wanted: int, fleet: "Fleet", show: Callable[[int], None]) -> None:
        ended, moved_at = 0, time.monotonic()
        while ended < wanted:
            fleet.look()
            now_ended = self._ended()
            if now_ended > ended:
                ended, moved_at = now_ended, time.monotonic()
            elif time.monotonic() - moved_at > STALL_S:
                raise Stuck(f"no job has ended for {STALL_S:g} s; {ended:,} had ended before")
            show(ended)
            time.sleep(LOOK_S)

    def _kill_one(self, fleet: "Fleet") -> tuple[int, int]:
        """Kill a worker while it holds jobs; return its process and how many it held.

        It is paused for the look, since what it holds changes by the millisecond.
        """
        while True:
            pid = max(self._workers().items(), key=lambda worker: worker[1])[0]
            with fleet.paused(pid):
                held = self._workers().get(pid, 0)
                if held or self._ended() == len(self._files):
                    fleet.kill(pid)
                    return pid, held

    def _workers(self) -> dict[int, int]:
        """Return the process of each worker, and how many jobs it holds."""
        rows = self._app.blocking(lambda client: client.workers())
        return {row.pid: row.running for row in rows}

    def _ended(self) -> int:
        counts = self._app.blocking(lambda client: client.counts())
        return sum(n for (_, state), n in counts.items() if state in TERMINAL)

    # -- checking ------------------------------------------------------------

    def _plain_loop(self) -> "list[FileFacts]":
        """Call the function itself on each file, without any engine."""
        import warnings

        with (
            warnings.catch_warnings(),
            _progress(self._console, "checked against a plain loop", len(self._files)) as show,
        ):
            warnings.simplefilter("ignore")
            facts = []
            for path in self._files:
                facts.append(self._index_file(path))
                show(len(facts))
        return facts

    def _show(
        self, ids: Sequence[JobId], jobs: Mapping[JobId, Job], facts: "Sequence[FileFacts]"
    ) -> None:
        paths = dict(zip(ids, map(_short, self._files), strict=True))
        self._console.print(_largest_table(list(paths.values()), facts))
        self._console.print(_totals_table(facts))
        rescued = [job for job in jobs.values() if job.losses]
        if rescued:
            self._console.print(_rescued_table(rescued, paths))

    def _say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)


# -- the workers -------------------------------------------------------------


class Stuck(Exception):
    """The work does not go on, for the reason given."""


class Fleet:
    """The demo's worker processes; none of them outlives the ``with`` block."""

    def __init__(self, store_url: str, folder: Path) -> None:
        self.store_url = store_url
        self.codes: list[int] = []  # of those that were stopped, not killed
        self._folder = folder
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._lifeline = Lifeline()

    @property
    def pids(self) -> list[int]:
        """The processes that have not been killed."""
        return list(self._workers)

    def __enter__(self) -> Self:
        self._lifeline.__enter__()
        for number in range(1, WORKERS + 1):
            self._start(number)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self._workers.values():
            worker.terminate()
        for worker in self._workers.values():
            self.codes.append(_ended_code(worker))
        self._lifeline.__exit__(kind, error, trace)

    def look(self) -> None:
        """Raises: Stuck, if a worker ended that nobody stopped."""
        for pid, worker in self._workers.items():
            code = worker.poll()
            if code is not None:
                raise Stuck(f"process {pid} {ending(code)}")

    @contextlib.contextmanager
    def paused(self, pid: int) -> Iterator[None]:
        """Keep a worker from running a single instruction."""
        worker = self._workers[pid]
        worker.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            if worker.returncode is None:
                worker.send_signal(signal.SIGCONT)

    def kill(self, pid: int) -> None:
        """End a worker with SIGKILL."""
        worker = self._workers.pop(pid)
        worker.kill()
        worker.wait()

    def logs(self) -> str:
        """Return the last of what each worker wrote."""
        files = sorted(self._folder.glob("worker-*.log"))
        return "\n".join(f"{file.name}: {file.read_text()[-LOG_TAIL_CHARS:]}" for file in files)

    def _start(self, number: int) -> None:
        command = worker_command(TARGET, concurrency=CONCURRENCY)
        theirs = {k: v for k, v in os.environ.items() if not k.startswith("WINDLASS_")}
        with (self._folder / f"worker-{number}.log").open("wb") as log:
            worker = subprocess.Popen(
                self._lifeline.extend(command),
                cwd=self._folder,  # no windlass.toml is there
                env={**theirs, **SETTINGS, "WINDLASS_STORE": self.store_url},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[self._lifeline.child_end],
                process_group=0,
            )
        self._workers[worker.pid] = worker


def _ended_code(worker: "subprocess.Popen[bytes]") -> int:
    try:
        return worker.wait(STOP_S)
    except subprocess.TimeoutExpired:
        worker.kill()
        return worker.wait()


def _await(holds: Callable[[], bool], fleet: Fleet, otherwise: str) -> None:
    end = time.monotonic() + START_S
    while not holds():
        fleet.look()
        if time.monotonic() > end:
            raise Stuck(f"{otherwise} within {START_S:g} s")
        time.sleep(LOOK_S)


# -- the check ---------------------------------------------------------------


def check(
    ids: Sequence[JobId],
    jobs: Mapping[JobId, Job],
    expected: Sequence[object],
    decode_result: Callable[[bytes | None], object],
) -> list[str]:
    """Return what is wrong with the jobs; nothing, if each file was done exactly once."""
    faults = []
    if not len(ids) == len(set(ids)) == len(jobs):
        faults.append(f"{len(ids):,} files, but the store holds {len(jobs):,} jobs")
    for job_id, facts in zip(ids, expected, strict=True):
        job = jobs.get(job_id)
        if job is None:
            faults.append(f"job {job_id} is missing from the store")
        elif job.state is not State.SUCCEEDED:
            faults.append(f"job {job_id} is {job.state}")
        elif job.failures or job.attempt != job.losses + 1:
            faults.append(
                f"job {job_id} was begun {job.attempt} times, "
                f"with {job.losses} losses and {job.failures} failures"
            )
        elif decode_result(job.result) != facts:
            faults.append(f"job {job_id} has another result than the plain loop")
    return faults


def verdict(files: int, rescued: int) -> str:
    """Say that everything holds."""
    again = (
        f"{rescued:,} of them were begun again after their worker was killed"
        if rescued
        else "none of them was held by the worker that was killed"
    )
    return (
        f"Each of the {files:,} files was done exactly once: {files:,} jobs succeeded, {again}, "
        "and every result equals that of a plain loop over the same files."
    )


def _all_jobs(app: App) -> dict[JobId, Job]:
    jobs: dict[JobId, Job] = {}
    before: JobId | None = None
    while page := _page(app, before):
        jobs.update((job.id, job) for job in page)
        before = page[-1].id
    return jobs


def _page(app: App, before: JobId | None) -> list[Job]:
    return app.blocking(lambda client: client.jobs(JobFilter(), limit=PAGE, before=before))


# -- what is shown -----------------------------------------------------------


@contextlib.contextmanager
def _progress(console: "Console", title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how far something is: a bar on a terminal, a line for each tenth elsewhere."""
    if not console.is_terminal:
        yield _tenths(console, title, total)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, completed=done)


def _tenths(console: "Console", title: str, total: int) -> Callable[[int], None]:
    told = 0

    def show(done: int) -> None:
        nonlocal told
        tenth = 10 * done // total
        if tenth > told:
            told = tenth
            console.print(f"{done:,} of {total:,} {title}", soft_wrap=True)

    return show


def _largest_table(paths: Sequence[str], facts: "Sequence[FileFacts]") -> Any:
    rows = sorted(zip(paths, facts, strict=True), key=lambda row: -row[1].size_bytes)
    return _table(
        "The largest files",
        ("file", "bytes", "lines", "names", "sha256"),
        [(path, *_counts(each), each.digest[:12]) for path, each in rows[:LARGEST]],
    )


def _counts(facts: "FileFacts") -> tuple[str, str, str]:
    names = f"not parsed: {facts.problem}" if facts.problem else f"{len(facts.names):,}"
    return f"{facts.size_bytes:,}", f"{facts.lines:,}", names


def _totals_table(facts: "Sequence[FileFacts]") -> Any:
    totals = (
        len(facts),
        sum(each.size_bytes for each in facts),
        sum(each.lines for each in facts),
        sum(len(each.names) for each in facts),
        sum(bool(each.problem) for each in facts),
    )
    titles = ("files", "bytes", "lines", "names", "not parsed")
    return _table("Totals", titles, [tuple(f"{total:,}" for total in totals)])


def _rescued_table(rescued: Sequence[Job], paths: Mapping[JobId, str]) -> Any:
    return _table(
        "Jobs rescued from the worker that was killed",
        ("job", "file", "attempts", "losses", "state"),
        [
            (job.id, paths.get(job.id, "?"), str(job.attempt), str(job.losses), str(job.state))
            for job in rescued
        ],
    )


def _table(title: str, columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Any:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for name in columns:
        is_number = name in {"bytes", "lines", "names", "files", "attempts", "losses"}
        table.add_column(
            name,
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=name == "job",
        )
    for row in rows:
        table.add_row(*row)
    return table


def _short(path: Path) -> str:
    return str(path.relative_to(sysconfig.get_path("stdlib")))


def _list(pids: Sequence[int]) -> str:
    return " and ".join(map(str, pids))


def _tell_what_next(console: "Console", kept_url: str | None) -> None:
    if kept_url is None:
        console.print("Next: windlass demo --keep, and look at the jobs that it leaves.")
    else:
        console.print(f"Next: windlass jobs list --store {kept_url}", soft_wrap=True)
    console.print("The README has a worker of your own in twenty lines.")
