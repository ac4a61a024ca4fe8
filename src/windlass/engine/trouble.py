"""An outage in the log: a line when it begins, now and then one more, and one when it is over."""

import logging
import math

REMIND_S = 60.0  # between two lines about one outage


class Trouble:
    """Says what hinders a loop, and does not flood the log with it.

    log: where it says so.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._since: float | None = None
        self._told_at = -math.inf

    def tell(self, now: float, text: str, error: Exception) -> None:
        """Say what the trouble is, unless that was said a short while ago."""
        if self._since is None:
            self._since, self._told_at = now, -math.inf
        if now - self._told_at >= REMIND_S:
            self._told_at = now
            self._log.warning(text, error)

    def is_over(self, now: float) -> None:
        """Say that there is none any more, if there was any."""
        if self._since is not None:
            self._log.info("scheduling goes on after %.1f s", now - self._since)
            self._since = None
