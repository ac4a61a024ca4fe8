"""Logs of the command line: plain lines on stderr."""

import logging
import time

from windlass.errors import BadSetting

FORMAT = "%(asctime)s %(levelname)-7s %(name)s  %(message)s"
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
    handler = logging.StreamHandler()
    handler.setFormatter(_UtcFormatter(FORMAT))
    root.addHandler(handler)
    root.setLevel(level.upper())


class _UtcFormatter(logging.Formatter):
    """Writes instants as ISO 8601 in UTC, to the millisecond."""

    _second = 0, ""  # the last one written: most lines share it with the line before

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Return the instant of a record."""
        second, text = self._second
        if second != int(record.created):
            second = int(record.created)
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second, text
        return f"{text}.{int(record.msecs):03d}Z"
