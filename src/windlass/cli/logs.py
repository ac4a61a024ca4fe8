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

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"
