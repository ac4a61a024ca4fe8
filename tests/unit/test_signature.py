"""Arguments and results: what fits arrives as its type, what does not is refused by name."""

import dataclasses
import enum
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.core.signature import Signature
from windlass.errors import (
    BadArguments,
    BadTask,
    NotEncodable,
    PayloadTooLarge,
    PickleRefused,
    UnknownSerializer,
)

LIMIT = 10_000


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0


class Struct(msgspec.Struct):
    name: str


class Model(pydantic.BaseModel):
    count: int


def rich(
    when: datetime,
    key: UUID,
    price: Decimal,
    path: Path,
    colour: Colour,
    point: Point,
    struct: Struct,
    model: Model,
    wait: timedelta,
    maybe: Path | None,
    many: list[Point],
) -> Path:
    raise NotImplementedError


def two(to: str, count: int) -> int:
    raise NotImplementedError


def mixed(a: int, /, b: int, c: int = 3, *rest: int, d: int = 4, e: str, **more: str) -> None: ...


def no_types(a, b=2):  # type: ignore[no-untyped-def]
    raise NotImplementedError


def carried(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, Any]:
    signature = Signature("t", function)
    return signature.decode(signature.encode(args, kwargs, LIMIT))


def test_arguments_arrive_as_their_annotated_types() -> None:
    values = (
        datetime(2026, 1, 2, tzinfo=UTC),
        uuid4(),
        Decimal("1.10"),
        Path("/a/b"),
        Colour.RED,
        Point(1, 2.5),
        Struct("n"),
        Model(count=3),
        timedelta(seconds=90),
        None,
        [Point(1), Point(2)],
    )

    assert (values, {}) == carried(rich, *values)


def test_every_kind_of_parameter_arrives_where_it_was_given() -> None:
    assert carried(mixed, 1, 2, 5, 6, d=7, e="x", z="w") == (
        (1, 2, 5, 6),
        {"d": 7, "e": "x", "z": "w"},
    )


def test_defaults_are_left_to_the_worker() -> None:
    payload = Signature("t", mixed).encode((1, 2), {"e": "x"}, LIMIT)

    assert msgspec.json.decode(payload) == {"a": 1, "b": 2, "e": "x"}


def test_arguments_without_annotations_travel_as_plain_data() -> None:
    assert carried(no_types, [1, {"k": None}]) == ((), {"a": [1, {"k": None}]})


@pytest.mark.parametrize(
    ("args", "kwargs", "field"),
    [
        ((1, 2), {}, "to"),
        (("a", "2"), {}, "count"),
        (("a",), {}, "count"),
        (("a", 1), {"colour": 1}, "colour"),
        (("a", 1, 2), {}, None),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_the_name_of_the_field(
    args: tuple[Any, ...], kwargs: dict[str, Any], field: str | None
) -> None:
    with pytest.raises(BadArguments) as caught:
        Signature("t", two).encode(args, kwargs, LIMIT)

    assert field == caught.value.field


def test_a_value_that_cannot_be_encoded_is_refused_by_name() -> None:
    with pytest.raises(NotEncodable) as caught:
        Signature("t", two).encode(("a", object()), {}, LIMIT)

    assert caught.value.field == "count"


def test_a_payload_over_the_limit_is_refused_with_the_limit() -> None:
    with pytest.raises(PayloadTooLarge) as caught:
        Signature("t", two).encode(("a" * 200, 1), {}, 100)

    assert (caught.value.limit_bytes, str(caught.value).split("limit of ")[1][:3]) == (100, "100")


def test_a_payload_that_no_longer_fits_is_refused_at_decode() -> None:
    with pytest.raises(BadArguments) as caught:
        Signature("t", two).decode(b'{"to":"a","number":1}')

    assert "number" in str(caught.value)


def test_garbage_is_refused_at_decode() -> None:
    with pytest.raises(BadArguments):
        Signature("t", two).decode(b"\xff\x00 no json")


class Opaque:
    pass


def opaque_argument(x: Opaque) -> None: ...


def opaque_result(x: int) -> Opaque:
    raise NotImplementedError


def opaque_inside(x: dict[str, list[Opaque]]) -> None: ...


@pytest.mark.parametrize("function", [opaque_argument, opaque_result, opaque_inside])
def test_a_type_with_no_place_in_a_payload_is_refused_at_definition(
    function: Callable[..., Any],
) -> None:
    with pytest.raises(BadTask):
        Signature("t", function)


def test_results_come_back_as_the_return_type() -> None:
    signature = Signature("t", rich)

    assert Path("/x") == signature.decode_result(signature.encode_result(Path("/x"), LIMIT))
    assert signature.decode_result(signature.encode_result(None, LIMIT)) is None


def test_a_result_that_belies_its_annotation_is_not_lost() -> None:
    signature = Signature("t", two)

    assert signature.decode_result(signature.encode_result("text", LIMIT)) == "text"


@given(st.text(), st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_any_text_and_number_arrive_unchanged(to: str, count: int) -> None:
    try:
        to.encode()
    except UnicodeEncodeError:
        return

    assert ((to, count), {}) == carried(two, to, count)


@given(st.binary())
def test_any_bytes_are_decoded_or_refused_never_worse(payload: bytes) -> None:
    signature = Signature("t", two)
    try:
        arguments, _ = signature.decode(payload)
    except (BadArguments, UnknownSerializer, PickleRefused):
        return

    assert len(arguments) == 2
