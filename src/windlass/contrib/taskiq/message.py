"""One call of a task, as middlewares and contexts see it; and how it travels with a job."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from windlass.core.occasion import Occasion
from windlass.errors import BadOption

HEADER = "taskiq"  # of a job: what its payload does not say of the message

# Labels which say something to this process, and are not sent along.
OF_THE_CODE = frozenset({"types_of_exceptions", "schedule"})


@dataclass(kw_only=True)
class TaskiqMessage:
    """A call: what a middleware is shown, and may change.

    own_id: the id, if it was made by Windlass: then no job can have it already.
    """

    task_id: str
    task_name: str
    labels: dict[str, Any] = field(default_factory=dict)
    labels_types: dict[str, int] | None = None
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)
    own_id: str | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Entry:
    """What a schedule gives each of its calls."""

    labels: Mapping[str, Any]
    args: Sequence[Any]


class _Travelling(msgspec.Struct, omit_defaults=True):
    """labels: as they were sent.   args: how many of the arguments were given by place."""

    labels: dict[str, Any] = {}
    args: int = 0


def label_sent(value: Any) -> Any:
    """Return a label as the other side gets it: text, but for plain numbers, bools and bytes."""
    return value if type(value) in (int, float, bool, str, bytes) else str(value)


def number_in(labels: Mapping[str, Any], name: str, default: float) -> float:
    """Return the number that a label says, which may be a text.  Raises: BadOption."""
    value = labels.get(name, default)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise BadOption(name, value, "the label must be a number")
    return number


def received(
    own: Mapping[str, Any],
    timetable: Mapping[str, Entry],
    headers: Mapping[str, str],
    occasion: Occasion | None,
) -> tuple[dict[str, Any], int]:
    """Return the labels of a job, and how many of its arguments were given by place.

    own: the labels of its task, for jobs that were not sent by a kicker.
    """
    entry = None if occasion is None else timetable.get(occasion.schedule)
    if (sent := headers.get(HEADER)) is not None:
        labels, given = from_header(sent)
    elif entry is not None:
        labels, given = labels_sent(entry.labels), len(entry.args)
    else:
        labels, given = labels_sent(own), 0
    if occasion is not None:
        labels["schedule_id"] = occasion.schedule
    elif "schedule" in own:
        labels["schedule"] = str(own["schedule"])
    return labels, given


def counts(failures: int, attempt: int) -> dict[str, Any]:
    """Return the labels in which taskiq counts the runs of a message before this one."""
    labels: dict[str, Any] = {}
    if failures > 0:
        labels["_retries"] = failures
    if (turns := attempt - 1 - failures) > 0:
        labels["X-Taskiq-requeue"] = str(turns)
    return labels


def labels_sent(labels: Mapping[str, Any]) -> dict[str, Any]:
    """Return labels as the other side gets them."""
    return {name: label_sent(value) for name, value in labels.items() if name not in OF_THE_CODE}


def header_of(labels: Mapping[str, Any], args: int) -> str:
    """Return what travels with the job, as text; "" for what goes without saying."""
    if not labels and not args:
        return ""
    packed = {name: _packed(value) for name, value in labels_sent(labels).items()}
    return msgspec.json.encode(_Travelling(packed, args)).decode()


def from_header(text: str) -> tuple[dict[str, Any], int]:
    """Return the labels, and how many arguments were given by place."""
    sent = msgspec.json.decode(text, type=_Travelling)
    return {name: _unpacked(value) for name, value in sent.labels.items()}, sent.args


def _packed(value: Any) -> Any:
    return {"bytes": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _unpacked(value: Any) -> Any:
    return base64.b64decode(value["bytes"]) if isinstance(value, dict) else value
