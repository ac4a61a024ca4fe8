"""Signatures: calls that can be passed around, completed and put together.

A dict, as in Celery, so that a signature may be an argument of a task.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self, TypeVar

from windlass.contrib.celery import current
from windlass.contrib.celery.refusing import OF_SIGNATURES, Refusing

S = TypeVar("S", bound="type[Signature]")

_NEEDED = {"task", "args", "kwargs", "options"}
_kinds: dict[str, "type[Signature]"] = {}


def kind(name: str) -> Callable[[S], S]:
    """Say of which class the signatures of a kind are."""

    def register(cls: S) -> S:
        _kinds[name] = cls
        return cls

    return register


def as_list(value: Any) -> list[Any]:
    """Return signatures given as one, as several, or not at all, as a list."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def check_call(args: Any, kwargs: Any) -> None:
    """Refuse what is no list or no dict of arguments.  Raises: TypeError."""
    if not isinstance(args, list | tuple | None):
        raise TypeError(f"the arguments of a task are a list or a tuple, not {args!r}")
    if not isinstance(kwargs, Mapping | None):
        raise TypeError(f"the named arguments of a task are a dict, not {kwargs!r}")


class Signature(Refusing, dict[str, Any]):
    """A call of a task: its name, its arguments so far, and options of ``apply_async``.

    immutable: it is given nothing by the task before it.
    """

    refused = OF_SIGNATURES

    def __init__(
        self,
        task: Any = None,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        type: Any = None,
        subtask_type: str | None = None,
        immutable: bool = False,
        app: Any = None,
        **more: Any,
    ) -> None:
        super().__init__()
        self._app = app
        if isinstance(task, Mapping):
            super().update(task)
            return
        self["task"] = task if isinstance(task, str) else getattr(task, "name", None)
        if not isinstance(self["task"], str):
            raise TypeError(f"{task!r} is no task, nor the name of one")
        check_call(args, kwargs)
        self["args"] = tuple(args or ())
        self["kwargs"] = dict(kwargs or {})
        self["options"] = {**(options or {}), **more}
        self["subtask_type"] = subtask_type
        self["immutable"] = immutable

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Any = None) -> "Signature":
        """Return the signature that a dict stands for, such as one that came as an argument."""
        if isinstance(d, Signature):
            return d
        if not (isinstance(d.get("task"), str) and d.keys() >= _NEEDED):
            raise TypeError(f"{dict(d)!r} is no signature: use task.s(…)")
        made_of = _kinds.get(d.get("subtask_type") or "", Signature)
        made = made_of.__new__(made_of)
        Signature.__init__(made, {**d, "kwargs": dict(d["kwargs"]), "options": dict(d["options"])},
                           app=app)  # fmt: skip
        made.restore()
        return made

    def restore(self) -> None:
        """Make signatures of the dicts in it; for those that are made of others."""

    # -- what it is ----------------------------------------------------------

    @property
    def task(self) -> str:
        """The name of the task."""
        return str(self["task"])

    @property
    def name(self) -> str:
        """The name of the task."""
        return self.task

    @property
    def args(self) -> tuple[Any, ...]:
        """The positional arguments so far."""
        return tuple(self["args"])

    @property
    def kwargs(self) -> dict[str, Any]:
        """The named arguments so far."""
        named: dict[str, Any] = self["kwargs"]
        return named

    @property
    def options(self) -> dict[str, Any]:
        """The options of ``apply_async``."""
        options: dict[str, Any] = self["options"]
        return options

    @property
    def immutable(self) -> bool:
        """Whether it is given nothing by the task before it."""
        return bool(self["immutable"])

    @property
    def subtask_type(self) -> str | None:
        """``chain``, ``group`` or ``chord``; None for a call of one task."""
        made_of: str | None = self.get("subtask_type")
        return made_of

    @property
    def bound_app(self) -> Any:
        """The app that it was made for; None if it takes the current one."""
        return self._app

    @property
    def app(self) -> Any:
        """The app that enqueues it."""
        return self._app or current.get_app()

    @property
    def type(self) -> Any:
        """The task.  Raises: NotRegistered."""
        return self.app.tasks[self.task]

    def __repr__(self) -> str:
        named = [f"{name}={value!r}" for name, value in self.kwargs.items()]
        return f"{self.task}({', '.join([*map(repr, self.args), *named])})"

    def __reduce__(self) -> Any:
        return Signature.from_dict, (dict(self),)

    # -- another one, made of it ---------------------------------------------

    def clone(
        self, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Self:
        """Return a copy with arguments before its own, and with options over its own."""
        given = () if self.immutable else tuple(args or ())
        named = {} if self.immutable else dict(kwargs or {})
        own = {k: list(v) if isinstance(v, list) else v for k, v in self.options.items()}
        parts = {
            "args": (*given, *self.args),
            "kwargs": {**self.kwargs, **named},
            "options": {**own, **options},
        }
        made = type(self).__new__(type(self))
        Signature.__init__(made, {**self, **parts}, app=self._app)
        return made

    partial = clone

    def replace(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Self:
        """Return a copy with other arguments or options in place of its own."""
        made = self.clone()
        made |= {
            name: value
            for name, value in (("args", args), ("kwargs", kwargs), ("options", options))
            if value is not None
        }
        return made

    def set(self, immutable: bool | None = None, **options: Any) -> Self:
        """Set options of ``apply_async``; return itself."""
        if immutable is not None:
            self.set_immutable(immutable)
        self.options.update(options)
        return self

    def set_immutable(self, immutable: bool) -> None:
        """Say whether it is given what the task before it returned."""
        self["immutable"] = immutable

    def link(self, callback: "Signature") -> "Signature":
        """Have a task called with the result; return the signature given."""
        return self._append("link", callback)

    def link_error(self, errback: "Signature") -> Any:
        """Have a task called if this one fails for good; return the signature given."""
        return self._append("link_error", errback)

    def on_error(self, errback: "Signature") -> Self:
        """Do as ``link_error``, and return itself."""
        self.link_error(errback)
        return self

    def _append(self, option: str, signature: "Signature") -> "Signature":
        listed = as_list(self.options.get(option))
        if signature not in listed:
            listed.append(signature)
        self.options[option] = listed
        return signature

    def __or__(self, other: Any) -> Any:
        if not isinstance(other, Signature):
            return NotImplemented
        return _kinds["chain"](self, other, app=self._app)

    def __ior__(self, other: Any) -> Any:
        if isinstance(other, Signature):
            return self.__or__(other)
        self.update(other)
        return self

    # -- running it ----------------------------------------------------------

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        """Enqueue it, with arguments before its own; return its result to be."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Enqueue it, with arguments before its own and options over its own.

        Raises: TypeError, for arguments that do not fit; NotSupported, BadOption, NotEncodable,
                StoreUnavailable.
        """
        check_call(args, kwargs)
        return self.app.enqueue_signature(self, tuple(args or ()), dict(kwargs or {}), options)

    def apply(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Run it here and now."""
        ready = self.clone(args or (), kwargs, **options)
        return ready.type.apply(ready.args, ready.kwargs, **ready.options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function here and now."""
        ready = self.clone(args, kwargs)
        return ready.type(*ready.args, **ready.kwargs)

    def __invert__(self) -> Any:
        return self.apply_async().get()


def maybe_signature(d: Any, app: Any = None, clone: bool = False) -> Any:
    """Return a signature for a signature or its dict; anything else as it is."""
    if isinstance(d, Mapping):
        made = Signature.from_dict(d, app=app)
        return made.clone() if clone and made is d else made
    return d
