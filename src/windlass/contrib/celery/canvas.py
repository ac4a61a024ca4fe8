"""Compositions: chains, groups and chords, and one call for each of many values."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from windlass.contrib.celery.signature import Signature, as_list, kind, maybe_signature

__all__ = ["Signature", "chain", "chord", "chunks", "group", "maybe_signature", "signature",
           "xmap", "xstarmap"]  # fmt: skip


def _signatures(given: tuple[Any, ...]) -> list[Signature]:
    """Return signatures given one by one, or as the only argument."""
    if len(given) == 1 and not isinstance(given[0], Signature):
        given = tuple(given[0].tasks if isinstance(given[0], group) else given[0])
    made = [maybe_signature(each) for each in given]
    made = [each.group() if isinstance(each, chunks) else each for each in made]
    for each in made:
        if not isinstance(each, Signature):
            raise TypeError(f"{each!r} is no signature: use task.s(…)")
    return made


def _body(given: Any) -> Any:
    made = maybe_signature(given)
    if made is not None and not isinstance(made, Signature):
        raise TypeError(f"{given!r} is no signature: use task.s(…)")
    return made


class Composition(Signature):
    """What is made of other signatures."""

    @property
    def app(self) -> Any:
        """The app that enqueues it: its own, or that of a part."""
        of_parts = (each.bound_app for each in self.parts())
        return self._app or next(filter(None, of_parts), None) or super().app

    def parts(self) -> list[Signature]:
        """Return the signatures of which it is made."""
        return list(self.tasks)

    @property
    def tasks(self) -> list[Signature]:
        """The signatures of which it is made, in their order."""
        made: list[Signature] = self.kwargs["tasks"]
        return made

    def restore(self) -> None:
        """Make signatures of the dicts in it."""
        self.kwargs["tasks"] = [maybe_signature(each, self._app) for each in self.tasks]

    def clone(
        self, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """Return a copy, whose parts are copies too."""
        made = super().clone(args, None, **options)
        made.kwargs["tasks"] = [each.clone() for each in self.tasks]
        return made

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Enqueue it."""
        return self.apply_async(args, kwargs)


@kind("chain")
class chain(Composition):
    """One after the other, each given the result of the one before."""

    def __init__(self, *tasks: Any, app: Any = None, **options: Any) -> None:
        steps: list[Signature] = []
        for each in _signatures(tasks):
            steps += each.steps() if isinstance(each, chain) else [_unrolled(each)]
        super().__init__("celery.chain", (), {"tasks": steps}, options, None, "chain", app=app)

    def steps(self) -> list[Signature]:
        """Return its parts with what was linked to it as a whole."""
        steps = [each.clone() for each in self.tasks]
        for callback in as_list(self.options.get("link")):
            steps[-1].link(callback)
        for errback in as_list(self.options.get("link_error")):
            for step in steps:
                step.link_error(errback)
        return steps

    def apply(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Run it here and now."""
        last: Any = None
        given = tuple(args or ())
        for step in self.steps():
            result = step.apply(given, kwargs, **options)
            result.parent, last = last, result
            given, kwargs = (result.get(),), None
        return last

    def __repr__(self) -> str:
        return " | ".join(
            repr(each) if n == 0 or not each.task else _short(each)
            for n, each in enumerate(self.tasks)
        )


@kind("group")
class group(Composition):
    """Side by side."""

    def __init__(self, *tasks: Any, app: Any = None, **options: Any) -> None:
        members = _signatures(tasks)
        super().__init__("celery.group", (), {"tasks": members}, options, None, "group", app=app)

    def members(self) -> list[Signature]:
        """Return its parts; those of groups within it in their place."""
        return [
            each
            for part in self.tasks
            for each in (part.members() if isinstance(part, group) else [part])
            if not (isinstance(each, chain) and not each.tasks)
        ]

    def __or__(self, other: Any) -> Any:
        if not isinstance(other, Signature):
            return NotImplemented
        if isinstance(other, group) and not other.tasks:
            return self
        return chord(self, other, app=self._app)

    def __len__(self) -> int:
        return len(self.tasks)

    def __bool__(self) -> bool:
        return True

    def link(self, callback: Signature) -> Signature:
        """Have a task called when the first member has succeeded, as Celery does."""
        return self.tasks[0].link(callback.clone().set(immutable=True))

    def link_error(self, errback: Signature) -> tuple[Any, ...]:
        """Have a task called for each member that fails for good."""
        return tuple(each.link_error(errback.clone()) for each in self.tasks)

    def set_immutable(self, immutable: bool) -> None:
        """Say whether its members are given what the task before it returned."""
        for each in self.tasks:
            each.set_immutable(immutable)

    def apply(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Run it here and now."""
        results = [each.apply(args, kwargs, **options) for each in self.members()]
        return self.app.GroupResult(results=results)

    def __repr__(self) -> str:
        return f"group(({', '.join(map(repr, self.tasks))}))"


@kind("chord")
class chord(Composition):
    """A group, and a body which is given the list of its results."""

    def __init__(self, header: Any, body: Any = None, app: Any = None, **options: Any) -> None:
        members = header.tasks if isinstance(header, group) else _signatures((header,))
        whole = {"tasks": list(members), "body": _body(body)}
        super().__init__("celery.chord", (), whole, options, None, "chord", app=app)

    @property
    def body(self) -> Signature:
        """What is given the results."""
        body = self.kwargs["body"]
        if body is None:
            raise TypeError("this chord has no body: chord(header)(body)")
        made: Signature = body
        return made

    def parts(self) -> list[Signature]:
        """Return the signatures of which it is made."""
        return [*self.tasks, *([self.kwargs["body"]] if self.kwargs["body"] else [])]

    def header(self) -> group:
        """Return what runs first, side by side."""
        made = group(self.tasks, app=self._app)
        made["group_id"] = self.get("group_id")
        return made

    def restore(self) -> None:
        """Make signatures of the dicts in it."""
        super().restore()
        self.kwargs["body"] = maybe_signature(self.kwargs["body"], self._app)

    def clone(self, args: Any = (), kwargs: Any = None, **options: Any) -> Any:
        """Return a copy, whose parts are copies too."""
        made = super().clone(args, None, **options)
        body = (kwargs or {}).get("body") or self.kwargs["body"]
        made.kwargs["body"] = body and body.clone()
        return made

    def link(self, callback: Signature) -> Signature:
        """Have a task called with the result of the body."""
        return self.body.link(callback)

    def __call__(self, body: Any = None, **options: Any) -> Any:
        """Enqueue it, with a body if it has none yet."""
        whole = self if body is None else self.clone((), {"body": _body(body)})
        return whole.apply_async((), {}, **options)

    def apply(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Run it here and now."""
        values = self.header().apply(args, kwargs).get()
        return self.body.apply((values,), **options)

    def __repr__(self) -> str:
        return f"chord({self.tasks!r}, {self.kwargs['body']!r})"


class xmap(Signature):
    """One call of a task for each value, within one job: ``task.map(values)``."""

    runner = "celery.map"

    def __init__(self, task: Signature, it: Iterable[Any], **options: Any) -> None:
        whole = {"task": dict(task), "it": list(it)}
        super().__init__(self.runner, (), whole, options, immutable=True, app=task.bound_app)


class xstarmap(xmap):
    """One call of a task for each list of arguments, within one job: ``task.starmap(lists)``."""

    runner = "celery.starmap"


class chunks(Signature):
    """Many calls in jobs of ``n`` calls each: ``task.chunks(lists, n)``."""

    def __init__(self, task: Signature, it: Iterable[Any], n: int, **options: Any) -> None:
        parts = iter(it)
        whole = list(iter(lambda: list(itertools.islice(parts, n)), []))
        self.jobs = [xstarmap(task, part) for part in whole]
        super().__init__("celery.chunks", (), {}, options, app=task.bound_app)

    def group(self) -> group:
        """Return it as a group with a member for each job."""
        return group(self.jobs, app=self._app)

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Enqueue it."""
        return self.group().apply_async(**{**self.options, **options})

    def clone(self, args: Any = (), kwargs: Any = None, **options: Any) -> Any:
        """Return it as a group, with options over its own."""
        return self.group().set(**{**self.options, **options})

    def apply(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Run it here and now."""
        return self.group().apply(**options)

    def __or__(self, other: Any) -> Any:
        return self.group() | other

    def __call__(self, **options: Any) -> Any:
        """Enqueue it."""
        return self.apply_async(**options)


def signature(varies: Any, *args: Any, **kwargs: Any) -> Signature:
    """Return a signature of a task, of its name, or of a signature's dict."""
    if isinstance(varies, Mapping):
        made = Signature.from_dict(varies, app=kwargs.get("app"))
        return made.clone() if made is varies else made
    return Signature(varies, *args, **kwargs)


def _unrolled(step: Signature) -> Signature:
    """Return a step of a chain; in place of a group of one, that one, as Celery has it."""
    alone = isinstance(step, group) and len(step.tasks) == 1
    return step.tasks[0] if isinstance(step, group) and alone else step


def _short(step: Signature) -> str:
    text = repr(step)
    return text.replace(step.task, step.task.rpartition(".")[2], 1)
