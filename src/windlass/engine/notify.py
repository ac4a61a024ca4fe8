"""Telling the service manager (systemd) how a process is: a few datagrams, by hand."""

import logging
import socket
import time
from collections.abc import Callable, MutableMapping
from typing import Self

from windlass.model.health import Health

log = logging.getLogger("windlass.watch")

SOCKET, WATCHDOG_USEC, WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


class Notifier:
    """Says READY=1 once the process can take jobs, WATCHDOG=1 while it is live, STOPPING=1.

    address:    of a unix datagram socket; ``@name`` is one in the abstract namespace.
    watchdog_s: after so long without WATCHDOG=1 the service manager acts; None if it does not.
    Source:     sd_notify(3).  It never waits: what cannot be sent is said the next time.
    """

    def __init__(
        self,
        address: str,
        watchdog_s: float | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog_s = watchdog_s
        self._now = now
        self._fed_at: float | None = None
        self._said: set[str] = set()

    @classmethod
    def taken_from(cls, environ: MutableMapping[str, str], pid: int) -> Self | None:
        """Return a notifier if the environment names one; the variables are taken out of it.

        So that what this process starts does not speak in its name.
        """
        address = environ.pop(SOCKET, "")
        usec, watched_pid = environ.pop(WATCHDOG_USEC, ""), environ.pop(WATCHDOG_PID, "")
        if not address.startswith(("/", "@")):
            return None
        is_watched = usec.isdigit() and int(usec) > 0 and watched_pid in ("", str(pid))
        return cls(address, int(usec) / 1e6 if is_watched else None)

    def tell(self, health: Health) -> None:
        """Say what is new; call it at least every half of ``watchdog_s``."""
        lines = []
        if health.ready and "READY=1" not in self._said:
            lines.append("READY=1")
        if health.stopping and "STOPPING=1" not in self._said:
            lines.append("STOPPING=1")
        if (status := f"STATUS={_status_of(health)}") not in self._said:
            lines.append(status)
        if health.live and self._is_watchdog_due():
            lines.append("WATCHDOG=1")
        if lines and self._send("\n".join(lines)):
            self._take_down(lines)

    def _is_watchdog_due(self) -> bool:
        if self._watchdog_s is None:
            return False
        return self._fed_at is None or self._now() - self._fed_at >= self._watchdog_s / 4

    def _take_down(self, lines: list[str]) -> None:
        """Remember what has been said, so that it is said once; what was not sent is said again."""
        for line in lines:
            if line == "WATCHDOG=1":
                self._fed_at = self._now()
            elif line.startswith("STATUS="):
                self._said = {said for said in self._said if not said.startswith("STATUS=")}
                self._said.add(line)
            else:
                self._said.add(line)

    def _send(self, message: str) -> bool:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
                connection.setblocking(False)
                connection.sendto(message.encode(), self._address)
        except BlockingIOError:  # its queue is full; the next time is soon
            return False
        except OSError as error:
            log.debug("the service manager cannot be told %r: %s", message, error)
            return False
        return True


def _status_of(health: Health) -> str:
    reasons = (*health.stalls, *health.wants)
    return reasons[0].replace("\n", " ") if reasons else "takes jobs"
