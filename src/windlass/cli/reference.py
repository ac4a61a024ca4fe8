"""The command line as a page of Markdown, from the commands themselves."""

import inspect
from typing import Any

import typer

from windlass.cli.failures import EXIT_CODES
from windlass.cli.main import cli


def markdown() -> str:
    """Return every command with its arguments and options, and what the exit codes mean."""
    root = typer.main.get_command(cli)
    parts = [_section(f"windlass {name}", command) for name, command in _below(root).items()]
    codes = ["## Exit codes\n", "| code | meaning |", "|---|---|"]
    codes += [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    return "\n".join([*parts, *codes]) + "\n"


def _below(command: Any) -> dict[str, Any]:
    """Return the commands of a group; the parser's own classes are no part of its API."""
    return dict(getattr(command, "commands", {}))


def _section(name: str, command: Any) -> str:
    lines = [f"## {name}\n", f"{inspect.cleandoc(command.help or '')}\n"]
    if _below(command):
        return "\n".join(
            [*lines, *(_section(f"{name} {sub}", c) for sub, c in _below(command).items())]
        )
    shown = [p for p in command.params if not getattr(p, "hidden", False)]
    if shown:
        lines += ["| parameter | default | meaning |", "|---|---|---|"]
        lines += [
            f"| {_names(p)} | {_default(p)} | {getattr(p, 'help', None) or ''} |" for p in shown
        ]
    return "\n".join(lines) + "\n"


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`"
    return " ".join(f"`{name}`" for name in parameter.opts)


def _meaning(parameter: Any) -> str:
    return getattr(parameter, "help", None) or ""


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if value is None or value is False or callable(value):
        return ""
    return f"`{value}`"
