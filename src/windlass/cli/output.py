"""Answers on stdout: tables for people, one JSON document for programs."""

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from windlass.core.references import is_reference, reference_in
from windlass.core.serializers import decode_plain, unframed
from windlass.errors import PickleRefused, UnknownSerializer

PLAIN_WIDTH = 4_000  # where no terminal limits a line, nothing is cut


def print_json(value: Any) -> None:
    """Print one JSON document; instants as ISO 8601."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    print(text)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str) -> None:
    """Print rows under their columns, ids and names whole; ``empty`` where there are none."""
    if rows:
        print_rendered(table_of(columns, rows))
    else:
        print(empty)


def table_of(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    """Return rows under their columns as something to print, or to show."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=name in ("id", "job", "sample"))
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    return table


def print_rendered(renderable: Any) -> None:
    """Print what a terminal can show; where there is none, no line is cut."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    Console(width=width, highlight=False, markup=False).print(renderable)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Print names and values, one a line; a value of several lines stands below its name."""
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        text = _cell(value)
        if "\n" in text:
            print(f"{name}:")
            print("\n".join(f"    {line}" for line in text.splitlines()))
        else:
            print(f"{name:<{width}}  {text}")


def decoded(data: bytes | None) -> Any:
    """Return stored bytes as a value that JSON can show; what cannot be read is described."""
    if data is not None and is_reference(data):
        return _reference_data(data)
    try:
        return msgspec.to_builtins(decode_plain(data), str_keys=True)
    except (UnknownSerializer, PickleRefused):
        assert data is not None
        name, body = unframed(data)
        return f"({len(body):,} bytes of {name})"
    except (msgspec.DecodeError, TypeError, RecursionError):
        return None if data is None else data.decode(errors="replace")


def _reference_data(data: bytes) -> str:
    try:
        reference = reference_in(data)
    except msgspec.DecodeError as error:
        return f"(a damaged reference: {error})"
    return f"({reference.size_bytes:,} bytes among the large results)"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    return str(value)
