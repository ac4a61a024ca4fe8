"""Whether two copies of the SQLite library have a file open in this process.

They know nothing of each other's locks, and when one closes the file, the system ends those of
the other: another process may then write where this one does, and the file is damaged.
See https://www.sqlite.org/howtocorrupt.html, 2.2.1.
"""

import os
from pathlib import Path

OPEN_FILES = "/dev/fd"  # Linux, macOS; elsewhere locks belong to a handle, and nothing is shared


def is_open_twice(path: Path) -> bool:
    """Tell whether more than one copy has it open: each opens the index of its log once."""
    try:
        index = os.stat(f"{path}-shm")
        descriptors = [int(name) for name in os.listdir(OPEN_FILES)]
    except OSError:
        return False
    return sum(_is_same(descriptor, index) for descriptor in descriptors) > 1


def _is_same(descriptor: int, file: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), file)
    except OSError:  # it was closed meanwhile
        return False
