"""What this front end lacks: each refuses by name, and says what to use in its place."""

from collections.abc import Callable
from typing import Any

from windlass.errors import NotSupported


def refusing(module: str, instead: str) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a module of which there is nothing here."""

    def refuse(name: str) -> Any:
        if name.startswith("__"):  # the import system itself asks for these
            raise AttributeError(name)
        raise NotSupported("qtasks", f"{module}.{name}", instead)

    return refuse


def refuse_given(**given: tuple[object, str]) -> None:
    """Refuse each parameter that has a value: ``name=(value, what to use instead)``.

    Raises: NotSupported.
    """
    for name, (value, instead) in given.items():
        if value is not None:
            raise NotSupported("qtasks", f"the parameter {name}=", instead)


def refused(feature: str, instead: str) -> Any:
    """Return a property that refuses whoever reads it."""

    def refuse(_: object) -> Any:
        raise NotSupported("qtasks", feature, instead)

    return property(refuse)


WORKER = "start one with `windlass worker module:app`, or run_forever()"
STORE = "the setting `store` (WINDLASS_STORE) says where jobs are kept"
HOOKS = "app.windlass_app.around_attempt, .around_enqueue and .observe stand in their place"
EVENTS = "app.windlass_app.observe is told what happens; app.windlass_app.lifespan starts and ends"
TIMERS = "app.windlass_app.schedules starts tasks by the clock: see docs/schedules.md"
STATS = "app.windlass_app.operations, `windlass top` and `windlass jobs` show what there is"
CHAINS = "windlass.chain makes a chain in the store: see docs/composition.md"
TESTS = "windlass.testing runs the jobs of app.windlass_app on demand: see docs/testing.md"
STATES = (
    "it lives in the memory of one worker process and dies with it; keep what tasks share in a "
    "database, or pass it on in their arguments"
)
