"""What an attempt may say of its progress."""

from windlass.errors import BadOption
from windlass.model.progress import MESSAGE_LENGTH_MAX


def check_progress(fraction: object, message: object) -> tuple[float, str]:
    """Return a progress that can be kept.  Raises: BadOption."""
    if not isinstance(fraction, int | float) or isinstance(fraction, bool):
        raise BadOption("fraction", fraction, "must be a number from 0 to 1")
    if not 0 <= fraction <= 1:  # nor does NaN
        raise BadOption("fraction", fraction, "must be from 0 to 1; divide what is done by all")
    if not isinstance(message, str) or not message.isprintable():
        raise BadOption("message", message, "must be a printable text of one line")
    if len(message) > MESSAGE_LENGTH_MAX:
        why = f"must have at most {MESSAGE_LENGTH_MAX} characters"
        raise BadOption("message", message[:50] + "…", why)
    return float(fraction), message
