"""Fingerprints: the same for what takes the same payloads, and different for what does not."""

import dataclasses
import enum
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Optional

import msgspec
import pydantic
import pytest

from windlass.core.signature import Signature


@dataclasses.dataclass
class Point:
    """A point."""

    x: int
    y: float = 0.0


@dataclasses.dataclass
class Place:
    """The same as a point, by another name and with another default."""

    x: int
    y: float = 9.9


@dataclasses.dataclass
class Longer:
    x: int
    y: float = 0.0
    z: float = 0.0


@dataclasses.dataclass
class Tree:
    value: int
    below: "list[Tree]" = dataclasses.field(default_factory=list)


class Model(pydantic.BaseModel):
    count: int
    inside: "Model | None" = None


class WiderModel(pydantic.BaseModel):
    count: int
    inside: "WiderModel | None" = None
    more: int = 0


class Colour(enum.Enum):
    RED = "red"


class Shade(enum.Enum):
    SCARLET = "red"


class Pair(NamedTuple):
    a: int
    b: int


class Riap(NamedTuple):
    b: int
    a: int


Limited = Annotated[int, msgspec.Meta(ge=1, description="a count")]
Explained = Annotated[int, msgspec.Meta(ge=1, description="how many")]


def of(function: Callable[..., Any], **options: Any) -> int:
    return Signature("t", function, **options).fingerprint


def a1(x: int, y: str = "a") -> int:
    """Say one thing."""
    raise NotImplementedError


async def a2(x: int, y: str = "b") -> str:
    """Say another."""
    raise NotImplementedError


def a3(y: str = "a", *, x: int) -> None: ...
def b1(x: Optional[Point]) -> None: ...  # noqa: UP045
def b2(x: Place | None) -> None: ...
def c1(x: Literal["a", "b"]) -> None: ...
def c2(x: Literal["b", "a"]) -> None: ...
def d1(x: Colour) -> None: ...
def d2(x: Shade) -> None: ...
def e1(x: Limited) -> None: ...
def e2(x: Explained) -> None: ...
def f1(x) -> None: ...  # type: ignore[no-untyped-def]
def f2(x: Any) -> None: ...


@pytest.mark.parametrize(
    ("one", "other"), [(a1, a2), (b1, b2), (c1, c2), (d1, d2), (e1, e2), (f1, f2)]
)
def test_what_takes_the_same_payloads_has_the_same_fingerprint(
    one: Callable[..., Any], other: Callable[..., Any]
) -> None:
    assert of(one) == of(other)


def g0() -> None: ...
def g1(x: int) -> None: ...
def g2(y: int) -> None: ...
def g3(x: float) -> None: ...
def g4(x: int = 1) -> None: ...
def g5(*x: int) -> None: ...
def g6(**x: int) -> None: ...
def g7(*, x: int) -> None: ...
def g8(x: int, y: int) -> None: ...
def g9(x: list[int]) -> None: ...
def h0(x: list[str]) -> None: ...
def h1(x: Point) -> None: ...
def h2(x: Longer) -> None: ...
def h3(x: list[Point]) -> None: ...
def h4(x: Tree) -> None: ...
def h5(x: Model) -> None: ...
def h6(x: WiderModel) -> None: ...
def h7(x: Pair) -> None: ...
def h8(x: Riap) -> None: ...
def h9(x: Limited) -> None: ...
def i0(x: Path) -> None: ...
def i1(x: int | None) -> None: ...
def i2(x: Literal["a"]) -> None: ...
def i3(x: dict[str, int]) -> None: ...
def i4(x: tuple[int, ...]) -> None: ...
def i5(x: bytes) -> None: ...


DIFFERENT: list[Callable[..., Any]] = [
    g0, g1, g2, g3, g4, g5, g6, g7, g8, g9, h0, h1, h2, h3, h4, h5, h6, h7, h8, h9, i0, i1, i2,
    i3, i4, i5,
]  # fmt: skip


def test_what_takes_other_payloads_has_another_fingerprint() -> None:
    found = {of(function): function.__name__ for function in DIFFERENT}

    assert len(found) == len(DIFFERENT)


def test_what_is_injected_is_no_part_of_a_fingerprint() -> None:
    assert of(g1) == of(g8, injected=("y",))


def test_a_fingerprint_fits_an_integer_of_every_store() -> None:
    assert all(0 <= of(function) < 2**31 for function in DIFFERENT)


KNOWN = {
    "a1": 1318793945,
    "b1": 1905349164,
    "h4": 706851855,
    "h5": 654465566,
    "h7": 1208896214,
    "i0": 1402558238,
    "i3": 2126543940,
}


@pytest.mark.parametrize("name", KNOWN)
def test_fingerprints_stay_what_they_were_in_older_releases(name: str) -> None:
    """A change here runs every upcaster of every user once more: think twice."""
    assert of(globals()[name]) == KNOWN[name]


OTHER_PROCESS = """
import tests.unit.test_fingerprint as here
print(here.of(here.c1), here.of(here.d1), here.of(here.b1))
"""


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert f"{of(c1)} {of(d1)} {of(b1)}" == done.stdout.strip()


class Opaque:
    pass


def pickled(x: Opaque, y: Callable[[int], int]) -> None: ...


def test_types_that_only_a_pickle_carries_have_a_fingerprint_too() -> None:
    assert of(pickled, serializer="pickle") != of(g8)
