"""Observers: told what has happened, unable to change it."""

import logging
from collections.abc import Callable, Collection, Sequence

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

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._of_kind = {
            kind: tuple(one for one in observers if kind in kinds_of(one)) for kind in NoticeKind
        }

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


def check_kinds(observer: Observer) -> None:
    """Check which kinds an observer says that it wants.  Raises: BadOption."""
    kinds: object = kinds_of(observer)
    if isinstance(kinds, str) or not isinstance(kinds, Collection):
        raise BadOption("kinds", kinds, "must be a set of NoticeKind")
    for kind in kinds:
        if kind not in ALL:
            raise BadOption("kinds", kind, f"must be of {', '.join(NoticeKind)}")
