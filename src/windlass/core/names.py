"""Names and words of options: which ones are good, and which one was meant."""

import difflib
from collections.abc import Iterable
from enum import StrEnum
from typing import TypeVar

from windlass.errors import BadOption
from windlass.model.jobs import NAME_LENGTH_MAX

C = TypeVar("C", bound=StrEnum)


def check_name(option: str, value: object) -> str:
    """Return a name (of a queue or a task) that every store and URL can carry."""
    if not isinstance(value, str) or not value or len(value) > NAME_LENGTH_MAX:
        raise BadOption(option, value, f"must be a text of 1 to {NAME_LENGTH_MAX} characters")
    if not value.isprintable() or value != value.strip() or "\n" in value:
        raise BadOption(option, value, "must be printable, without blanks at its ends")
    return value


def choice(option: str, value: str, kind: type[C]) -> C:
    """Return the member of an enumeration that a text names.  Raises: BadOption."""
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(f'"{each}"' for each in kind)
        raise BadOption(option, value, f"must be one of {known}") from None


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that a mistyped one was likely meant to be."""
    found = difflib.get_close_matches(word, list(known), n=1)
    return found[0] if found else None
