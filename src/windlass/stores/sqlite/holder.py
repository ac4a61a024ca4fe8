"""Who holds the write lock of a file, for messages.  Linux says it; elsewhere nobody knows."""

import os
from pathlib import Path

LOCKS, PROCESSES = Path("/proc/locks"), Path("/proc")
WRITE_LOCK_BYTE = 120  # of the shared memory file.  Source: SQLite's wal.c, WALINDEX_LOCK_OFFSET
STOPPED = ("T", "t")


def holder_of(path: str) -> str | None:
    """Name the process that holds the write lock of a database; None where that is not known."""
    try:
        inode = os.stat(path + "-shm").st_ino  # looked at, not opened: a close would drop our locks
        lines = LOCKS.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        pid = _holds(line.split(), inode)
        if pid is not None:
            return f"process {pid}{' (stopped)' if _is_stopped(pid) else ''}"
    return None


def _holds(fields: list[str], inode: int) -> int | None:
    """Return who holds the write lock, if this line of the kernel's table says so."""
    # 1: POSIX  ADVISORY  WRITE 4711 08:01:1234567 120 120
    if len(fields) != 8 or fields[3] != "WRITE" or not fields[5].endswith(f":{inode}"):
        return None
    last = WRITE_LOCK_BYTE if fields[7] == "EOF" else int(fields[7])
    pid = int(fields[4])
    return pid if pid > 0 and int(fields[6]) <= WRITE_LOCK_BYTE <= last else None


def _is_stopped(pid: int) -> bool:
    try:
        text = (PROCESSES / str(pid) / "stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] in STOPPED
