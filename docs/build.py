"""Writes docs/reference from the code itself; ``python docs/build.py`` or ``make docs``.

A test compares the pages with what this makes, so they cannot fall behind.
"""

import dataclasses
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from windlass import errors
from windlass.config import Settings
from windlass.core.lifecycle import CLAIM_MOVES, INITIAL, MOVES, REASONS, SWEEP_MOVES
from windlass.model import jobs
from windlass.model.jobs import TERMINAL, State

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- made by docs/build.py: change the code, then run it -->\n"


def states_page() -> str:
    """States, reasons and moves."""
    comments = dict(re.findall(r"(\w+) = \"\w+\"  # (.+)", inspect.getsource(State)))
    lines = [
        "# States\n",
        NOTE,
        "A state names who must move the job next; the reason says why it is there.\n",
        "| state | who moves it | reasons |",
        "|---|---|---|",
    ]
    for state in State:
        reasons = ", ".join(sorted(f"`{r}`" for r in REASONS[state] if r)) or "none"
        lines.append(f"| `{state}` | {comments[state.name]} | {reasons} |")
    lines += [
        "\n## Moves\n",
        f"A new job is {_words(INITIAL)}. States that never change: {_words(TERMINAL)}.\n",
        "| from | to |",
        "|---|---|",
        *(f"| `{a}` | {_words(after)} |" for a, after in MOVES.items() if after),
        "\n## Who writes a move\n",
        "| verb | moves |",
        "|---|---|",
        f"| claim | {_pairs(CLAIM_MOVES)} |",
        f"| sweep | {_pairs(SWEEP_MOVES)} |",
        "| settle | every other move of the table, and those of the sweep by request |",
        "\n## Limits\n",
        "| limit | value |",
        "|---|---|",
        f"| priority | {jobs.PRIORITY_MIN} to {jobs.PRIORITY_MAX}, higher first |",
        f"| length of a queue's or task's name | {jobs.NAME_LENGTH_MAX} characters |",
        f"| length of a unique key | {jobs.UNIQUE_KEY_LENGTH_MAX} characters |",
        f"| jobs in one transaction of an enqueue | {jobs.ENQUEUE_BATCH_MAX:,} |",
        f"| headers of a job | {jobs.HEADERS_BYTES_MAX:,} bytes |",
        f"| jobs in one claim | {jobs.CLAIM_BATCH_MAX:,} |",
    ]
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """Every setting, its default and its meaning."""
    lines = [
        "# Settings\n",
        NOTE,
        "Order: arguments of `App(…)` or options of a command, `WINDLASS_…` in the environment, "
        "`windlass.toml` or `[tool.windlass]` in `pyproject.toml`, the default. An unknown "
        "name is an error. `windlass check` prints each effective value and its source.\n",
        "| setting | environment | default | meaning |",
        "|---|---|---|---|",
    ]
    for field in dataclasses.fields(Settings):
        meaning = field.metadata.get("help", "")
        default = "none" if field.default == "" else f"`{field.default}`"
        lines.append(
            f"| `{field.name}` | `WINDLASS_{field.name.upper()}` | {default} | {meaning} |"
        )
    return "\n".join(lines) + "\n"


def errors_page() -> str:
    """The tree of errors, and what each means."""
    tree = (errors.__doc__ or "").split("\n\n")[1]
    lines = ["# Errors\n", NOTE, "```", tree, "```\n", "| error | what it says |", "|---|---|"]
    for name, kind in _error_classes():
        first = (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ")
        lines.append(f"| `{name}` | {first} |")
    return "\n".join(lines) + "\n"


def cli_page() -> str:
    """Every command with its options and exit codes."""
    from windlass.cli.reference import markdown

    return f"# Command line\n\n{NOTE}\n{markdown()}"


PAGES: dict[str, Callable[[], str]] = {
    "states.md": states_page,
    "settings.md": settings_page,
    "errors.md": errors_page,
    "cli.md": cli_page,
}


def _error_classes() -> Iterator[tuple[str, type[errors.WindlassError]]]:
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, errors.WindlassError):
            yield name, value


def _words(states: "frozenset[State]") -> str:
    return ", ".join(f"`{state}`" for state in State if state in states)


def _pairs(moves: "frozenset[tuple[State, State]]") -> str:
    order = list(State)
    pairs = sorted(moves, key=lambda pair: (order.index(pair[0]), order.index(pair[1])))
    return ", ".join(f"`{a}` → `{b}`" for a, b in pairs)


def main() -> None:
    """Write every page."""
    REFERENCE.mkdir(exist_ok=True)
    for name, make in PAGES.items():
        (REFERENCE / name).write_text(make())
        print(f"docs/reference/{name}", file=sys.stderr)


if __name__ == "__main__":
    main()
