"""What went wrong, told on stderr, and the exit code that says who must act."""

import json
import sys
import traceback
from typing import Protocol, runtime_checkable

import typer

from windlass.errors import (
    AppNotFound,
    BackfillNotFound,
    ConfigurationError,
    HoldNotFound,
    JobNotFailed,
    JobNotFound,
    JobNotWaiting,
    ResultTimeout,
    ScheduleNotFound,
    TaskError,
    UnavailableError,
    UsageError,
    WindlassError,
    WorkerNotFound,
    facts_of,
)

EXIT_CODES = {
    0: "done",
    1: "what was asked for did not succeed: a failed job, an id that does not exist, a live job "
    "that would not run",
    2: "a mistake in the command, the configuration or the app",
    3: "the store does not answer",
    4: "a job did not end within the time given",
    70: "a defect of Windlass itself; the traceback is on stderr",
    130: "interrupted",
}


@runtime_checkable
class WrongCommand(Protocol):
    """A command line that cannot be understood, as the parser raises it."""

    exit_code: int

    def format_message(self) -> str:
        """Say what is wrong with it."""
        ...


def exit_code_of(error: BaseException) -> int:
    """Return the exit code of an error; ``EXIT_CODES`` says what each means."""
    match error:
        case ResultTimeout():
            return 4
        case JobNotFound() | JobNotFailed() | JobNotWaiting() | HoldNotFound():
            return 1
        case WorkerNotFound() | ScheduleNotFound() | BackfillNotFound() | TaskError():
            return 1
        case ConfigurationError() | UsageError() | WrongCommand():
            return 2
        case UnavailableError():
            return 3
        case typer.Abort() | KeyboardInterrupt():
            return 130
    return 70


def tell(error: BaseException, *, as_json: bool) -> None:
    """Say on stderr what went wrong; as one JSON document for programs."""
    if isinstance(error, typer.Abort | KeyboardInterrupt):
        return
    if as_json:
        print(json.dumps({"error": _as_data(error)}, default=str), file=sys.stderr)
        return
    if isinstance(error, WrongCommand):
        context = getattr(error, "ctx", None)
        if context is not None:
            print(context.get_usage(), file=sys.stderr)
        print(f"error: {error.format_message()}", file=sys.stderr)
        return
    if not isinstance(error, WindlassError):
        traceback.print_exception(error)
        return
    if isinstance(error, AppNotFound) and not _is_missing(error):
        traceback.print_exception(error.__cause__)
    print(f"error: {error}", file=sys.stderr)


def _is_missing(error: AppNotFound) -> bool:
    """Tell whether there is no such module at all; else its own traceback says more."""
    cause = error.__cause__
    if isinstance(cause, ModuleNotFoundError):
        return bool(cause.name) and f"{error.target}:".startswith(
            (f"{cause.name}:", f"{cause.name}.")
        )
    return cause is None


def _as_data(error: BaseException) -> dict[str, object]:
    if isinstance(error, WrongCommand):
        return {"type": "Usage", "message": error.format_message(), "facts": {}}
    facts = facts_of(error) if isinstance(error, WindlassError) else {}
    return {"type": type(error).__name__, "message": str(error), "facts": facts}
