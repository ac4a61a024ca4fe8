"""Notes the instant of each fire, in a file which all processes of a peer append to."""

import os
import struct
import time
from datetime import UTC, datetime

ANCHOR = datetime.fromtimestamp(int(os.environ.get("LATENESS_ANCHOR", "0")), UTC)  # whole second

_file: int | None = None


def note() -> None:
    """Note that the task's code has begun, now."""
    global _file
    at = time.time()
    if _file is None:  # opened at the first fire, so that forked children have their own
        _file = os.open(os.environ["LATENESS_TICKS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(_file, struct.pack("d", at))
