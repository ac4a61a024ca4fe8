"""Who is told of the exceptions of attempts, live: with their traceback and its locals."""

import logging
from collections.abc import Callable

from windlass.core.context import Context

log = logging.getLogger("windlass.observers")

ErrorObserver = Callable[[BaseException, Context], object]


class ErrorObservers:
    """Tells each exception to each observer.  Falsy where there is none.

    What an observer raises is logged, and nothing else comes of it.
    """

    def __init__(self) -> None:
        self._observers: list[ErrorObserver] = []

    def __bool__(self) -> bool:
        return bool(self._observers)

    def add(self, observer: ErrorObserver) -> None:
        """Tell one more, after those before it."""
        self._observers.append(observer)

    def tell(self, error: BaseException, context: Context) -> None:
        """Tell all, in the order in which they were added."""
        for observer in self._observers:
            try:
                observer(error, context)
            except BaseException:  # not even an exit of theirs may reach the attempt
                log.exception("an observer of errors broke: %r", observer)


NOBODY = ErrorObservers()
