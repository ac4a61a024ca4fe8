"""Notes instants, in files which all processes of a peer append to."""

import os
import struct
import time
from datetime import UTC, datetime

ANCHOR = datetime.fromtimestamp(int(os.environ.get("LATENESS_ANCHOR", "0")), UTC)  # whole second

_files: dict[str, int] = {}


def note() -> None:
    """Note that the task's code has begun, now."""
    _append("LATENESS_TICKS", time.time())


def note_send() -> None:
    """Note that the scheduler sends the task, now: for one which counts from there."""
    _append("LATENESS_SENDS", time.time())


def _append(variable: str, at: float) -> None:
    if variable not in _files:  # opened at the first fire, so that forked children have their own
        _files[variable] = os.open(
            os.environ[variable], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600
        )
    os.write(_files[variable], struct.pack("d", at))
