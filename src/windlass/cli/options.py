"""Options that several commands share."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

import typer

from windlass.app import App
from windlass.engine.client import Client

T = TypeVar("T")

Store = Annotated[str | None, typer.Option(help="URL of the store; else the settings decide.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def ask(store: str | None, question: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
    """Ask the client of a store something, and let go of the store.

    Raises: StoreUnavailable, SchemaMissing, … and what the question raises.
    """
    app = App(store)
    try:
        return app.blocking(question)
    finally:
        app.close()
