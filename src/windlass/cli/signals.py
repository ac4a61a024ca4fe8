"""The signals that the long-running commands understand."""

import faulthandler
import signal
import sys

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def terminal_hangs_up() -> bool:
    """Tell whether a SIGHUP would come from a terminal that is closed, and so means the end."""
    return sys.stdin is not None and sys.stdin.isatty()


def dump_stacks_on_request() -> None:
    """Have SIGUSR1 write the stack of every thread to stderr, whatever the code is doing."""
    if sys.__stderr__ is not None:
        faulthandler.register(signal.SIGUSR1, file=sys.__stderr__, all_threads=True)
