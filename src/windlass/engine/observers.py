"""Observers: told what has happened, unable to change it."""

import logging
from collections.abc import Callable, Collection, Iterable
from typing import Any

from windlass.errors import BadOption
from windlass.model.notices import Notice, NoticeKind

log = logging.getLogger("windlass.observers")

Observer = Callable[[Notice], object]

ALL = frozenset(NoticeKind)


class Observers:
    """Tells each notice to each observer that wants its kind.

    Whoever makes notices asks first whether anybody wants them (``want``), so that none is made
    for nobody.  What an observer raises is logged, and nothing else comes of it.
    """

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._of_kind: dict[NoticeKind, list[Observer]] = {kind: [] for kind in NoticeKind}
        for observer in observers:
            self.add(observer)

    def add(self, observer: Observer) -> None:
        """Tell one more, after the others.  Raises: BadOption, for what is no kind."""
        for kind in frozenset(_checked(kinds_of(observer))):
            self._of_kind[kind].append(observer)

    def want(self, *kinds: NoticeKind) -> bool:
        """Tell whether anybody wants notices of one of these kinds."""
        return any(self._of_kind[kind] for kind in kinds)

    def tell(self, notice: Notice) -> None:
        """Tell all who want it, in the order in which they were registered."""
        for observer in self._of_kind[notice.kind]:
            try:
                observer(notice)
            except Exception:
                log.exception("an observer of %s broke: %r", notice.kind, observer)


def kinds_of(observer: Observer) -> Collection[NoticeKind]:
    """Return the kinds an observer wants: those of its attribute ``kinds``; without one, all."""
    kinds: Collection[NoticeKind] = getattr(observer, "kinds", ALL)
    return kinds


def _checked(kinds: Collection[Any]) -> Collection[NoticeKind]:
    if isinstance(kinds, str) or not isinstance(kinds, Collection):
        raise BadOption("kinds", kinds, "must be a set of NoticeKind")
    for kind in kinds:
        if kind not in ALL:
            raise BadOption("kinds", kind, f"must be of {', '.join(NoticeKind)}")
    return kinds
