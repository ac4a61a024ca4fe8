"""Calls as Windlass stores them: each argument under the name of its parameter.

Celery sends a list and a dict.  Here a job's payload names the parameters of the function, so
that ``windlass jobs show`` says what was given; ``*rest`` is a list and ``**more`` a dict.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from windlass.contrib.celery.exceptions import refuse

Kind = inspect.Parameter
POSITIONAL = (Kind.POSITIONAL_ONLY, Kind.POSITIONAL_OR_KEYWORD)

ALL_ARGS, ALL_KWARGS = "celery.args", "celery.kwargs"  # of a call whose function was not known


class Shape:
    """The parameters of a task's function, without the task itself.

    slot: the name under which a job is given the result of the one before it, as Celery does it:
          as the first positional argument.  None, if the function takes none.
    """

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self._name = name.rpartition(".")[2]
        self._signature = inspect.signature(function)
        self._parameters = list(self._signature.parameters.values())
        first = next((p for p in self._parameters if p.kind in (*POSITIONAL, Kind.VAR_POSITIONAL)),
                     None)  # fmt: skip
        self._rest = first.name if first and first.kind is Kind.VAR_POSITIONAL else None
        self.slot = f"{self._rest}_0" if self._rest else first.name if first else None
        if self._rest and self.slot in self._signature.parameters:
            refuse(f"a task with *{self._rest} and {self.slot}", "rename one of the two")

    def parameters(self) -> inspect.Signature:
        """Return the signature of a function that takes all of them by name."""
        named = [
            Kind(p.name, Kind.KEYWORD_ONLY, default=self._default(p)) for p in self._parameters
        ]
        if self._rest is not None and self.slot is not None:
            named.append(Kind(self.slot, Kind.KEYWORD_ONLY, default=None))
        return inspect.Signature(named)

    def _default(self, parameter: inspect.Parameter) -> Any:
        optional = parameter.kind in (Kind.VAR_POSITIONAL, Kind.VAR_KEYWORD)
        has_none = parameter.default is Kind.empty and not optional
        return Kind.empty if has_none else None  # never used: what is not given is not passed

    def named(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], *, after: bool = False
    ) -> tuple[dict[str, Any], int | None]:
        """Return the arguments by name, and how many stood in the list, if they do not tell that.

        after:  the first positional argument comes from another job, in ``slot``.
        Raises: TypeError, as a call of the function would.
        """
        given = (None, *args) if after else tuple(args)
        try:
            bound = self._signature.bind(*given, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{self._name}(): {error}") from None
        positional = [p.name for p in self._parameters if p.kind in POSITIONAL and p.name in bound]
        count = min(len(given), len(positional))
        if after and self._rest is not None:
            bound[self._rest] = bound[self._rest][1:]
        elif after and self.slot is not None:
            del bound[self.slot]
        return dict(bound), None if count == len(positional) else count

    def call(
        self, arguments: Mapping[str, Any], count: int | None
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the list and the dict of which ``named`` made the arguments."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        if self._rest is not None and self.slot is not None and self.slot in arguments:
            args.append(arguments[self.slot])
        for parameter in self._parameters:
            name = parameter.name
            if name not in arguments:
                continue
            match parameter.kind:
                case Kind.VAR_POSITIONAL:
                    args += arguments[name]
                case Kind.VAR_KEYWORD:
                    kwargs |= arguments[name]
                case Kind.KEYWORD_ONLY:
                    kwargs[name] = arguments[name]
                case _ if count is None or len(args) < count:
                    args.append(arguments[name])
                case _:
                    kwargs[name] = arguments[name]
        return args, kwargs

    def unfold_unknown(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Name the arguments of a call by whom the function was not known; for an upcaster.

        Raises: TypeError, if they do not fit.
        """
        if ALL_ARGS not in arguments:
            return arguments
        return self.named(arguments[ALL_ARGS], arguments[ALL_KWARGS])[0]
