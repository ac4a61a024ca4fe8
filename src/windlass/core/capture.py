"""Turn an exception into plain data that a person far away can read."""

import traceback
from types import TracebackType
from typing import Any

from windlass.model.outcomes import ErrorInfo

MESSAGE_LENGTH_MAX = 4_000
TRACEBACK_LENGTH_MAX = 32_000
DETAILS_LENGTH_MAX = 16_000

_DETAILS = "_windlass_details"  # of an exception, beside what it has of its own


def error_info(error: BaseException, *, skip_frames: int = 0) -> ErrorInfo:
    """Describe ``error`` with its traceback and its chain of causes, at a bounded size.

    skip_frames: how many of the outermost frames are the engine's own.
    """
    return ErrorInfo(
        type=type_name(type(error)),
        message=error_message(error),
        traceback=_traceback(error, skip_frames),
        details=_own_dict(error).get(_DETAILS, ""),
    )


def carry_details(error: BaseException, details: str) -> None:
    """Have an exception carry text to the ``details`` of what will describe it.

    Also out of a child process, where middleware sees only the description.
    details: up to DETAILS_LENGTH_MAX characters.
    """
    assert len(details) <= DETAILS_LENGTH_MAX
    _own_dict(error)[_DETAILS] = details


def type_name(kind: type[BaseException]) -> str:
    """Return the full name of an error class; builtins by their bare name."""
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def error_message(error: BaseException) -> str:
    """Return the message of an exception, at a bounded size."""
    try:
        return str(error)[:MESSAGE_LENGTH_MAX]
    except Exception as broken:  # a user's __str__ may raise; the failure must still be told
        return f"<the message could not be made: {type_name(type(broken))}>"


def _own_dict(error: BaseException) -> dict[str, Any]:
    # Not setattr: of an exception that is a frozen dataclass that would raise.
    own: dict[str, Any] = BaseException.__getattribute__(error, "__dict__")
    return own


def _traceback(error: BaseException, skip_frames: int) -> str:
    try:
        inner = _inner(error.__traceback__, skip_frames)
        lines = traceback.TracebackException(type(error), error, inner, compact=True).format()
        text = "".join(lines)
    except Exception as broken:
        return f"<the traceback could not be made: {type_name(type(broken))}>"
    if len(text) > TRACEBACK_LENGTH_MAX:
        text = (
            f"… {len(text) - TRACEBACK_LENGTH_MAX:,} characters cut …\n"
            + (text[-TRACEBACK_LENGTH_MAX:])
        )
    return text


def _inner(trace: TracebackType | None, skip_frames: int) -> TracebackType | None:
    for _ in range(skip_frames):
        if trace is None or trace.tb_next is None:
            break
        trace = trace.tb_next
    return trace
