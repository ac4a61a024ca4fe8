"""The command line: ``windlass …``."""

import sys
from collections.abc import Sequence
from typing import NoReturn

import typer

from windlass.cli import (
    backfills,
    check,
    dags,
    demo,
    dev,
    enqueue,
    holds,
    jobs,
    migrate,
    runs,
    scheduler,
    schedules,
    top,
    why,
    worker,
    workers,
)
from windlass.cli.failures import exit_code_of, tell

cli = typer.Typer(
    name="windlass",
    help="One engine for background work: workers, jobs and the store that keeps them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
cli.command("worker")(worker.worker)
cli.command("dev")(dev.dev)
cli.command("scheduler")(scheduler.scheduler)
cli.command("enqueue")(enqueue.enqueue)
cli.add_typer(jobs.commands, name="jobs")
cli.add_typer(runs.commands, name="runs")
cli.add_typer(dags.commands, name="dags")
cli.add_typer(schedules.commands, name="schedules")
cli.add_typer(backfills.commands, name="backfills")
cli.command("why")(why.why)
cli.command("pause")(holds.pause)
cli.command("quarantine")(holds.quarantine)
cli.command("resume")(holds.resume)
cli.command("holds")(holds.holds)
cli.add_typer(workers.commands, name="workers")
cli.command("top")(top.top)
cli.command("migrate")(migrate.migrate)
cli.command("check")(check.check)
cli.command("demo")(demo.demo)


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; what goes wrong is told on stderr."""
    try:
        code = cli(list(arguments), standalone_mode=False)
    except Exception as error:
        tell(error, as_json="--json" in arguments)
        return exit_code_of(error)
    return code if isinstance(code, int) else 0
