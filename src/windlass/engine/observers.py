"""Observers: told what has happened, unable to change it."""

import logging
from collections.abc import Callable, Sequence

from windlass.model.notices import Notice

log = logging.getLogger("windlass.observers")

Observer = Callable[[Notice], object]


class Observers:
    """Tells each notice to each observer.  Falsy where there is none, so that nobody makes one.

    What an observer raises is logged, and nothing else comes of it.
    """

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._observers = observers

    def __bool__(self) -> bool:
        return bool(self._observers)

    def tell(self, notice: Notice) -> None:
        """Tell all, in the order in which they were registered."""
        for observer in self._observers:
            try:
                observer(notice)
            except Exception:
                log.exception("an observer of %s broke: %r", notice.kind, observer)
