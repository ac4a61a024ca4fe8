"""Options that several commands share."""

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from windlass.app import App
from windlass.engine.client import Client
from windlass.errors import BadOption

T = TypeVar("T")

Store = Annotated[str | None, typer.Option(help="URL of the store; else the settings decide.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def json_object(option: str, text: str | None) -> dict[str, Any] | None:
    """Return what an option's JSON object holds.  Raises: BadOption."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise BadOption(option, text, f"must be a JSON object: {error}") from error


def instant_of(option: str, text: str) -> datetime:
    """Return the instant that an option says; without an offset it is UTC.  Raises: BadOption."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        why = "must be ISO 8601, for instance 2027-01-31T08:00Z"
        raise BadOption(option, text, why) from error
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def ask(store: str | None, question: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
    """Ask the client of a store something, and let go of the store.

    Raises: StoreUnavailable, SchemaMissing, … and what the question raises.
    """
    app = App(store)
    try:
        return app.blocking(question)
    finally:
        app.close()
