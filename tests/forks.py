"""Running something in a forked child of the test."""

import os
from collections.abc import Callable

NOBODY = 65534


def in_a_fork(act: Callable[[], str]) -> str:
    """Run something in a forked child; return what it returned, or what it raised."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            told = act()
        except BaseException as error:
            told = f"{type(error).__name__}: {error}"
        os.write(writing, told.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return told


def become_nobody() -> None:
    """Give up root's rights, with which one may write everywhere; nothing for other users."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
