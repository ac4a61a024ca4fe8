"""The tasks that every app has: those behind ``map``, ``starmap`` and nested groups."""

from collections.abc import Callable, Iterable
from typing import Any

from windlass.contrib.celery.canvas import Signature, xmap, xstarmap
from windlass.contrib.celery.laying import COLLECT


def define_built_in(app: Any) -> None:
    """Define them in an app."""

    def each(task: Any, it: Iterable[Any]) -> list[Any]:
        call = Signature.from_dict(task, app=app)
        return [call.type(*call.args, one, **call.kwargs) for one in it]

    def each_starred(task: Any, it: Iterable[Any]) -> list[Any]:
        call = Signature.from_dict(task, app=app)
        return [call.type(*call.args, *one, **call.kwargs) for one in it]

    def collected(values: Any) -> Any:
        return values

    built_in: list[tuple[str, Callable[..., Any]]] = [
        (xmap.runner, each),
        (xstarmap.runner, each_starred),
        (COLLECT, collected),
    ]
    for name, function in built_in:
        app.task(function, name=name)
