"""What a child process tells of the attempt that it runs: its progress, and its end."""

import os
import threading
import time
from collections.abc import Callable

from windlass.core.context import Context
from windlass.executors import frames
from windlass.model.outcomes import Outcome

INTERVAL_S = 0.1


class Teller:
    """Sends the newest progress of the current attempt now and then, and the last before its end.

    A thread sends, because the code may say something and then compute for hours; it is
    started by the first progress.  Copies of the process, which user code forked, tell nothing.
    send: writes a whole frame.
    """

    def __init__(self, send: Callable[[bytes], object]) -> None:
        self._send = send
        self._own_pid = os.getpid()
        self._context: Context | None = None
        self._lock = threading.Lock()  # one frame at a time
        self._news = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, context: Context) -> None:
        """Tell of this attempt from now on."""
        self._context = context

    def note(self, context: Context) -> None:
        """Take up that the attempt said something new.  From any thread."""
        if context is not self._context or os.getpid() != self._own_pid:
            return  # a thread that outlived its attempt, or a copy
        with self._lock:
            if self._thread is None:
                self._thread = _started(self._tell)
        self._news.set()

    def end(self, outcome: Outcome) -> None:
        """Tell what was said last, then how the attempt ended; nothing more comes after it."""
        with self._lock:
            self._tell_news()
            self._context = None
            self._send(frames.pack(frames.Ended(outcome)))

    def _tell(self) -> None:
        while self._news.wait():
            self._news.clear()
            with self._lock:
                try:
                    self._tell_news()
                except OSError:  # the worker is gone, and so will be this process
                    return
            time.sleep(INTERVAL_S)

    def _tell_news(self) -> None:
        if self._context is not None and self._context.has_news:
            self._send(frames.pack(frames.Progressed(*self._context.take_news())))


def _started(target: Callable[[], None]) -> threading.Thread | None:
    thread = threading.Thread(target=target, name="windlass-progress", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the attempt has no memory for it: what it says is told at its end
        return None
    return thread
