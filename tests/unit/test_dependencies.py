"""The marks of a task's parameters: read into a plan, or refused where it is defined."""

import functools
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import pytest

from windlass import INJECTED, App, BadArguments, BadTask, Context, Depends, Router
from windlass.core.dependencies import Needs, needs_of
from windlass.core.signature import Signature
from windlass.errors import NotInjected
from windlass.plugins import with_dependencies


def leaf() -> int:
    return 1


def middle(leaf: Annotated[int, Depends(leaf)]) -> int:
    return leaf


class Made:
    def __init__(self, middle: Annotated[int, Depends(middle)], size: int = 3) -> None: ...


class Called:
    async def __call__(self, leaf: Annotated[int, Depends(leaf)], **more: int) -> int:
        return leaf


def needs(function: Callable[..., Any], isolation: str = "thread") -> Needs | None:
    return needs_of("t", function, isolation)


def steps(function: Callable[..., Any]) -> list[str]:
    found = needs(function)
    assert found is not None
    return [step.provider.name for step in found.plan().steps]


# -- plans -------------------------------------------------------------------


def test_what_asks_for_nothing_has_no_needs() -> None:
    def task(a: int, b: Annotated[str, "a note"] = "", *rest: int) -> None: ...

    assert needs(task) is None


def test_each_stands_once_and_behind_what_it_needs() -> None:
    def task(
        ctx: Context,
        made: Annotated[Made, Depends(Made)],
        called: Annotated[int, Depends(Called())],
        part: Annotated[int, Depends(functools.partial(middle))],
        leaf: Annotated[int, Depends(leaf)],
    ) -> None: ...

    found = needs(task)

    assert found is not None
    assert found.names == ("ctx", "made", "called", "part", "leaf")
    assert steps(task) == ["leaf", "middle", "Made", "Called", "partial"]
    assert found.plan().places == (("ctx", 0), ("made", 3), ("called", 4), ("part", 5), ("leaf", 1))


def test_the_same_function_in_both_scopes_is_two() -> None:
    def task(
        a: Annotated[int, Depends(leaf)], b: Annotated[int, Depends(leaf, scope="worker")]
    ) -> None: ...

    assert steps(task) == ["leaf", "leaf"]


@pytest.mark.parametrize("place", ["first", "last"])
def test_what_is_injected_is_no_part_of_the_payload(place: str) -> None:
    def first(ctx: Context, a: int, b: int) -> None: ...

    def last(a: int, b: int, ctx: Context = INJECTED) -> None: ...

    function: Callable[..., None] = first if place == "first" else last
    signature = Signature("t", function, ("ctx",))
    payload = signature.encode((1,), {"b": 2}, 1000)
    args, kwargs = signature.decode(payload)

    assert payload == b'{"a":1,"b":2}'
    function(*args, **kwargs, ctx=INJECTED)  # every parameter gets its own
    with pytest.raises(BadArguments, match="ctx"):
        signature.encode((1, 2), {"ctx": 3}, 1000)


# -- refusals ----------------------------------------------------------------


def of_job(ctx: Context) -> None: ...


def of_worker_wrong(job: Annotated[None, Depends(of_job)]) -> None: ...


def around(other: "Annotated[None, Depends(back)]") -> None: ...


def back(other: Annotated[None, Depends(around)]) -> None: ...


def unknown(number: int) -> None: ...


def by_place(ctx: Context, /) -> None: ...


def not_resolved(a: "NoSuchName") -> None: ...  # type: ignore[name-defined]  # noqa: F821


@contextmanager
def decorated() -> Iterator[int]:
    yield 1


async def of_loop() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        (Depends(around), "in a circle: around → back → around"),
        (Depends(of_worker_wrong, scope="worker"), "cannot need 'of_job', which is one job's"),
        (Depends(of_job, scope="worker"), "cannot need Context"),
        (Depends(unknown), "parameter 'number' of which nothing says what it is"),
        (Depends(by_place), "parameter 'ctx' is injected by name"),
        (Depends(not_resolved), "NoSuchName"),
        (Depends(decorated), "'decorated' is a generator, or async, inside of its decorator"),
        (Depends(7), r"Depends\(7\) cannot be called"),  # type: ignore[arg-type]
        (Depends([]), "cannot be hashed"),  # type: ignore[arg-type]
        (Depends(leaf, "session"), 'use "job" or "worker"'),  # type: ignore[arg-type]
        (Depends(of_loop, scope="worker"), "child process .* make it plain"),
    ],
)
def test_a_mark_that_cannot_be_kept_is_refused_at_definition(mark: Depends, told: str) -> None:
    def task(value: Any) -> None: ...

    task.__annotations__["value"] = Annotated[Any, mark]

    with pytest.raises(BadTask, match=told):
        needs(task, "process")


def test_a_parameter_that_cannot_be_injected_is_refused_at_definition() -> None:
    def rest(leaf: Annotated[int, Depends(leaf)], *rest: int) -> None: ...

    def only(ctx: Context, /) -> None: ...

    def unmarked(value: int = INJECTED) -> None: ...

    for function, told in ((rest, "by name"), (only, "by name"), (unmarked, "has no Depends")):
        with pytest.raises(BadTask, match=told):
            needs(function)


def test_an_app_and_a_router_refuse_them_too(tmp_path: Path) -> None:
    def task(value: Annotated[None, Depends(around)]) -> None: ...

    for registry in (App(f"sqlite:///{tmp_path}/a.db"), Router()):
        with pytest.raises(BadTask, match="circle"):
            registry.task(task)


def test_injected_tells_who_uses_it_what_is_missing() -> None:
    with pytest.raises(NotInjected, match=r"'execute' was asked of INJECTED.*by hand"):
        INJECTED.execute("select 1")

    assert not hasattr(INJECTED, "execute")  # what looks around in a module stumbles over nothing
    assert repr(INJECTED) == "INJECTED"
    assert str(pickle.loads(pickle.dumps(NotInjected("execute")))) == str(NotInjected("execute"))


async def test_tasks_that_ask_for_nothing_are_left_as_they_are(tmp_path: Path) -> None:
    app = App(f"sqlite:///{tmp_path}/a.db")
    with_none: Any = app.task(name="none")(leaf)
    before = app.specs
    async with with_dependencies(before) as specs:
        assert specs is before

    app.task(name="some")(middle)
    async with with_dependencies(app.specs) as specs:
        assert specs["none"] is with_none.spec
        assert specs["some"].function is not middle


def test_a_worker_of_such_tasks_imports_nothing_for_them() -> None:
    code = (
        "import sys, windlass, windlass.app, windlass.executors.child, windlass.executors.threads\n"
        "print('windlass.executors.injection' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout == "False\n"
