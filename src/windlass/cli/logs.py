"""Logs of the command line: plain lines on stderr."""

import asyncio
import logging
import time
from contextlib import nullcontext
from typing import TextIO

from windlass.errors import BadSetting

FORMAT = "%(asctime)s %(levelname)-7s %(name)s  %(message)s"
ATTEMPTS = "windlass.attempts"  # the logger of windlass.contrib.logging
LEVELS = ("debug", "info", "warning", "error", "critical")


def configure_logging(level: str) -> None:
    """Send log lines to stderr, with instants in UTC; root handlers that exist are left alone.

    Raises: BadSetting.
    """
    if level.lower() not in LEVELS:
        raise BadSetting("log_level", level, f"must be one of {', '.join(LEVELS)}")
    logging.getLogger("windlass").setLevel(level.upper())
    root = logging.getLogger()
    if root.handlers:
        return
    handler = _Lines()
    handler.setFormatter(_UtcFormatter(FORMAT))
    root.addHandler(handler)
    root.setLevel(level.upper())


class _Lines(logging.StreamHandler[TextIO]):
    """Writes lines to stderr; the INFO lines of attempts that end together in one go.

    Those wait until the event loop turns, or for the next line of any other kind: the order stays.
    """

    def __init__(self) -> None:
        super().__init__()
        self._held: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or hold its line for a moment."""
        try:
            self._held.append(self.format(record))
            if record.levelno != logging.INFO or record.name != ATTEMPTS or not self._may_wait():
                self.flush()
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Write what is held."""
        with self.lock or nullcontext():
            held, self._held = self._held, []
            if held:
                self.stream.write("\n".join([*held, ""]))
        super().flush()

    def _may_wait(self) -> bool:
        if len(self._held) > 1:
            return True  # a flush is due already
        try:
            asyncio.get_running_loop().call_soon(self.flush)
        except RuntimeError:
            return False  # nobody would flush
        return True


class _UtcFormatter(logging.Formatter):
    """Writes instants as ISO 8601 in UTC, to the millisecond."""

    _second = -1, ""  # the last one written: most lines share it with the line before

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Return the instant of a record."""
        second, text = self._second
        if second != int(record.created):
            second = int(record.created)
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second, text
        return f"{text}.{int(record.msecs):03d}Z"
