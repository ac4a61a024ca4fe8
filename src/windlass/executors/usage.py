"""What a process uses of the machine, read without any library."""

import os
import sys
from pathlib import Path

PROC = Path("/proc")


def rss_bytes(pid: int | None = None) -> int | None:
    """Return the resident memory of a process, this one by default; None if it cannot be known.

    Without /proc there is only this process's own peak.
    """
    try:
        fields = (PROC / _name(pid) / "statm").read_bytes().split()
    except OSError:
        return _peak_rss_bytes() if pid is None else None
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_s(pid: int) -> float | None:
    """Return the seconds of CPU that all threads of a process have used; None if unknown."""
    try:
        stat = (PROC / _name(pid) / "stat").read_bytes()
    except OSError:
        return None
    fields = stat.rpartition(b")")[2].split()  # the name before it may hold anything
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _name(pid: int | None) -> str:
    return "self" if pid is None else str(pid)


def _peak_rss_bytes() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
