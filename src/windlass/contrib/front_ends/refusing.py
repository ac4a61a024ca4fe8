"""Modules that lack names of the library for which a front end stands."""

from collections.abc import Callable, Mapping
from typing import NoReturn

from windlass.errors import NotSupported


def refusing(
    library: str, module: str, instead: Mapping[str, str], place: str = ""
) -> Callable[[str], NoReturn]:
    """Return a module's ``__getattr__``: it refuses names that the library has there.

    module:  the ``__name__`` of the module.
    instead: what to use in place of each of them; any other name is an AttributeError.
    place:   what stands before the name in the message, such as ``celery.result.``.
    """

    def refuse(name: str) -> NoReturn:
        if name in instead:
            raise NotSupported(library, f"{place}{name}", instead[name])
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return refuse
