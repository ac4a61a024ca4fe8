"""Serializers: what they carry arrives as it was, and bytes alone never decide on a pickle (S2)."""

import dataclasses
import enum
import json
import pickle
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.core.holds import Candidate, Standing, holding
from windlass.core.operations import Changes
from windlass.core.serializers import (
    Codec,
    Formats,
    What,
    check_serializer,
    decode_plain,
    framed,
    unframed,
)
from windlass.core.signature import Signature
from windlass.errors import (
    BadArguments,
    BadOption,
    BadResult,
    NotEncodable,
    PickleRefused,
    UnknownSerializer,
    WindlassError,
)
from windlass.model.holds import HoldId
from windlass.model.jobs import JobId, JobRequest, Reason

LIMIT = 1_000_000
KEY = "k" * 32
OTHER_KEY = "o" * 32


class Rot13Json:
    """A serializer as a user writes one."""

    name = "own-1"

    def dumps(self, value: Any) -> bytes:
        return json.dumps(value).encode()[::-1]

    def loads(self, data: bytes) -> Any:
        return json.loads(data[::-1])


FORMATS = Formats(own={"own-1": Rot13Json()}, pickle_key=KEY)
NAMES = ["json", "msgpack", "own-1", "pickle"]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(NamedTuple):
    width: int
    height: int


class Tag(TypedDict):
    label: str


@dataclasses.dataclass
class Line:
    price: Decimal
    count: int = 1


class Buyer(msgspec.Struct):
    name: str
    born: date | None = None


class Note(pydantic.BaseModel):
    text: str
    stars: list[int] = []


@dataclasses.dataclass
class Order:
    key: UUID
    at: datetime
    lines: list[Line]
    buyer: Buyer
    colours: set[Colour]
    sizes: dict[str, Size]
    waits: tuple[timedelta, ...]
    tag: Tag
    folder: Path
    blob: bytes
    ratio: float
    note: Note | None = None


def ship(order: Order, *rest: Line, fast: bool = False, **more: dict[str, int]) -> Order:
    raise NotImplementedError


def two(to: str, count: int) -> Any:
    raise NotImplementedError


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(-(2**63), 2**63 - 1)
prices = st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=0, max_value=9**9)
lines = st.builds(Line, price=prices, count=numbers)
orders = st.builds(
    Order,
    key=st.uuids(),
    at=st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)),
    lines=st.lists(lines, max_size=3),
    buyer=st.builds(Buyer, name=texts, born=st.none() | st.dates()),
    colours=st.sets(st.sampled_from(Colour)),
    sizes=st.dictionaries(texts, st.builds(Size, numbers, numbers), max_size=3),
    waits=st.lists(st.timedeltas(timedelta(0), timedelta(days=999)), max_size=2).map(tuple),
    tag=st.fixed_dictionaries({"label": texts}),
    folder=st.sampled_from([Path("/a/b"), Path("c d")]),
    blob=st.binary(max_size=20),
    ratio=st.floats(allow_nan=False, allow_infinity=False),
    note=st.none() | st.builds(Note, text=texts, stars=st.lists(numbers, max_size=2)),
)
plain = st.recursive(
    st.none() | st.booleans() | numbers | texts | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def signature_of(
    function: Callable[..., Any], name: str, formats: Formats = FORMATS, task: str = "t"
) -> Signature:
    signature = Signature(task, function, serializer=name)
    signature.use(formats)
    return signature


# -- round trips -------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@given(order=orders, rest=st.lists(lines, max_size=2), more=st.dictionaries(texts, numbers))
def test_nested_arguments_arrive_as_their_types(
    name: str, order: Order, rest: list[Line], more: dict[str, int]
) -> None:
    signature = signature_of(ship, name)
    payload = signature.encode((order, *rest), {"extra": more}, LIMIT)

    assert ((order, *rest), {"extra": more}) == signature.decode(payload)


@pytest.mark.parametrize("name", NAMES)
@given(order=orders)
def test_a_nested_result_arrives_as_its_type(name: str, order: Order) -> None:
    signature = signature_of(ship, name)

    assert order == signature.decode_result(signature.encode_result(order, LIMIT))


@pytest.mark.parametrize("name", NAMES)
@given(value=plain)
def test_plain_data_arrives_unchanged(name: str, value: Any) -> None:
    signature = signature_of(two, name)
    data = signature.encode_result(value, LIMIT)

    assert value == signature.decode_result(data)
    if name != "pickle":
        assert value == decode_plain(data, FORMATS)


@pytest.mark.parametrize("writes", NAMES[:3])
@pytest.mark.parametrize("reads", NAMES)
def test_a_task_reads_every_format_whatever_it_writes(writes: str, reads: str) -> None:
    payload = signature_of(two, writes).encode(("a", 1), {}, LIMIT)

    assert signature_of(two, reads).decode(payload) == (("a", 1), {})


# -- frames ------------------------------------------------------------------


def test_json_is_stored_as_it_is_and_other_formats_by_their_name() -> None:
    stored = {name: signature_of(two, name).encode(("a", 1), {}, LIMIT) for name in NAMES}

    assert stored["json"] == b'{"to":"a","count":1}'
    assert stored["msgpack"] == b"\0msgpack\0\x82\xa2to\xa1a\xa5count\x01"
    assert stored["own-1"] == b'\0own-1\0}1 :"tnuoc" ,"a" :"ot"{'
    assert stored["pickle"].startswith(b"\0pickle\0")


@given(plain)
def test_no_json_can_be_taken_for_a_frame(value: Any) -> None:
    data = msgspec.json.encode(value)

    assert ("json", data) == unframed(data)


@given(st.from_regex(r"[a-z][a-z0-9_-]{0,31}", fullmatch=True).filter(lambda n: n != "json"))
def test_a_frame_gives_back_its_name_and_its_body(name: str) -> None:
    assert (name, b"\0x\0") == unframed(framed(name, b"\0x\0"))


@given(st.binary())
def test_any_bytes_behind_a_nul_are_decoded_or_refused_by_an_error_of_ours(body: bytes) -> None:
    for name in NAMES:
        signature = signature_of(two, name)
        for payload in (b"\0" + body, *(b"\0%b\0%b" % (n.encode(), body) for n in NAMES)):
            try:
                signature.decode(payload)
            except WindlassError:
                continue


def test_a_format_that_is_not_known_is_named_with_what_to_do() -> None:
    with pytest.raises(UnknownSerializer, match="no serializer 'yaml' here: give it to app"):
        signature_of(two, "json").decode(b"\0yaml\0to: a")
    with pytest.raises(UnknownSerializer):
        decode_plain(b"\0own-1\0...")


def test_a_result_that_cannot_be_read_is_an_error_of_ours() -> None:
    for data in (b"{", b"\0msgpack\0\xc1", b"\0own-1\0no", b"\0 no frame"):
        with pytest.raises(BadResult):
            signature_of(two, "json").decode_result(data)


@pytest.mark.parametrize("name", ["json", "pickle", "", "Upper", "a b", "a\0b", "x" * 33, 7])
def test_a_serializer_needs_a_name_of_its_own(name: Any) -> None:
    own = Rot13Json()
    own.name = name
    with pytest.raises(BadOption):
        check_serializer(own)


# -- what operators do with arguments ----------------------------------------

REGION = Standing(HoldId("h"), Reason.PAUSED, None, None, None, {"order.region": "eu"})


def order_in(name: str) -> bytes:
    return signature_of(lambda order: None, name).encode(({"region": "eu", "n": 1},), {}, LIMIT)


@pytest.mark.parametrize(("name", "held"), [("json", True), ("msgpack", True), ("own-1", False)])
def test_a_hold_by_arguments_sees_into_built_in_formats_and_stumbles_over_none(
    name: str, held: bool
) -> None:
    candidate = Candidate(JobId("j"), "q", "t", order_in(name), None)
    pickled = candidate._replace(payload=order_in("pickle"))

    assert (holding([REGION], candidate) is not None) is held
    assert holding([REGION], pickled) is None


def test_changed_arguments_stay_in_their_format_or_are_refused() -> None:
    request = JobRequest(id=JobId("j"), task="t", queue="q", payload=b"")
    for name in ("json", "msgpack"):
        old = msgspec.structs.replace(request, payload=order_in(name))
        changed = Changes(arguments={"order": b"x"}).made_to(old).payload

        assert unframed(changed)[0] == name
        assert decode_plain(changed) == {"order": "eA==" if name == "json" else b"x"}
    for name in ("own-1", "pickle"):
        old = msgspec.structs.replace(request, payload=order_in(name))
        with pytest.raises(BadOption, match="cannot be put into the payload"):
            Changes(arguments={"order": 1}).made_to(old)


# -- the path of the bad field -----------------------------------------------

BAD: dict[str, tuple[Any, str]] = {
    "a wrong type deep inside": (
        {"lines": [{"price": "1"}, {"price": []}]},
        "order.lines[1].price",
    ),
    "one that is missing": ({"lines": [{"count": 1}]}, "order.lines[0].price"),
    "a value of a dict": ({"sizes": {"a": [1, "2"]}}, "order.sizes[...][1]"),
    "a struct": ({"buyer": {"name": 3}}, "order.buyer.name"),
    "an item of a set": ({"colours": ["green"]}, "order.colours[0]"),
    "a path": ({"folder": 3}, "order.folder"),
    "inside of pydantic": ({"note": {"text": "x", "stars": [1, "b"]}}, "order.note.stars[1]"),
}
GOOD_ORDER: dict[str, Any] = {
    "key": "00000000-0000-4000-8000-000000000000",
    "at": "2026-01-01T00:00:00Z",
    "lines": [],
    "buyer": {"name": "ann"},
    "colours": [],
    "sizes": {},
    "waits": [],
    "tag": {"label": "x"},
    "folder": "/a",
    "blob": b"",
    "ratio": 1.0,
}


@pytest.mark.parametrize("name", NAMES[:3])
@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_named_by_its_path(name: str, case: str) -> None:
    changed, path = BAD[case]
    call = {"order": {**GOOD_ORDER, **changed}}
    signature = signature_of(ship, name)
    encoded = signature_of(lambda order: None, name).encode((), call, LIMIT)
    with pytest.raises(BadArguments) as caught:
        signature.decode(encoded)

    assert path == caught.value.field
    assert "$" not in caught.value.why


@pytest.mark.parametrize("name", NAMES[:3])
def test_what_cannot_be_encoded_is_named_by_its_path(name: str) -> None:
    order = {"lines": [1, {"price": object()}]}
    with pytest.raises(NotEncodable) as caught:
        signature_of(lambda order: None, name).encode((order,), {}, LIMIT)

    assert caught.value.field == "order['lines'][1]['price']"


# -- pickle ------------------------------------------------------------------


class Opaque:
    """A type that no other format carries."""

    def __init__(self, inside: int) -> None:
        self.inside = inside


class Bomb:
    """Tells when it is unpickled."""

    def __reduce__(self) -> Any:
        return (_explode, ())


def _explode() -> None:
    raise AssertionError("it was unpickled")


def opaque(value: Opaque, count: int = 1) -> Opaque:
    raise NotImplementedError


def test_pickle_carries_what_no_other_format_does() -> None:
    signature = signature_of(opaque, "pickle")
    (args, kwargs) = signature.decode(signature.encode((Opaque(7),), {}, LIMIT))
    result = signature.decode_result(signature.encode_result(Opaque(8), LIMIT))

    assert (args, kwargs["value"].inside, result.inside) == ((), 7, 8)


def sealed_bomb(task: str = "t", what: What = "arguments", key: str = KEY) -> bytes:
    """Return what a holder of a key could store."""
    return Codec(task, what, Any, "pickle", Formats(pickle_key=key)).encode(Bomb())


REFUSED: dict[str, tuple[bytes, str, Formats, str]] = {
    "no opt-in of the task": (sealed_bomb(), "json", FORMATS, "does not say"),
    "no key": (sealed_bomb(), "pickle", Formats(), "no setting pickle_key"),
    "another key": (sealed_bomb(key=OTHER_KEY), "pickle", FORMATS, "does not fit"),
    "of another task": (sealed_bomb(task="u"), "pickle", FORMATS, "does not fit"),
    "a result": (sealed_bomb(what="result"), "pickle", FORMATS, "does not fit"),
    "changed": (sealed_bomb() + b".", "pickle", FORMATS, "does not fit"),
    "no signature": (framed("pickle", pickle.dumps(Bomb())), "pickle", FORMATS, "does not fit"),
    "a short one": (b"\0pickle\0abc", "pickle", FORMATS, "does not fit"),
    "empty": (b"\0pickle\0", "pickle", FORMATS, "does not fit"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_pickle_is_refused_before_anything_of_it_is_unpickled(case: str) -> None:
    payload, name, formats, told = REFUSED[case]
    signature = signature_of(two, name, formats)
    with pytest.raises(PickleRefused, match=told):
        signature.decode(payload)
    signature.upcasters.append(lambda arguments: arguments)
    with pytest.raises(PickleRefused, match=told):
        signature.decode(payload)
    with pytest.raises(PickleRefused):
        signature.payload_for(payload, OTHER_KEY)


def test_a_pickled_result_is_refused_in_the_same_way() -> None:
    bomb = sealed_bomb(what="result")
    for name, formats in (("json", FORMATS), ("pickle", Formats())):
        with pytest.raises(PickleRefused):
            signature_of(two, name, formats).decode_result(bomb)
    with pytest.raises(PickleRefused):
        decode_plain(bomb, FORMATS)
    with pytest.raises(PickleRefused):
        signature_of(two, "pickle").decode_result(sealed_bomb())


def test_a_bomb_under_the_right_key_does_explode() -> None:
    with pytest.raises(BadArguments, match="it was unpickled"):
        signature_of(two, "pickle").decode(sealed_bomb())


def test_without_a_key_nothing_is_pickled() -> None:
    with pytest.raises(PickleRefused, match="pickle_key"):
        signature_of(opaque, "pickle", Formats()).encode((Opaque(1),), {}, LIMIT)


@pytest.mark.parametrize(
    ("values", "field"), [({"to": "a"}, "count"), ({"to": 1, "count": 2, "x": 3}, "x"), ([], None)]
)
def test_unpickled_arguments_must_have_the_names_of_the_parameters(
    values: Any, field: str | None
) -> None:
    payload = Codec("t", "arguments", Any, "pickle", FORMATS).encode(values)
    with pytest.raises(BadArguments) as caught:
        signature_of(two, "pickle").decode(payload)

    assert field == caught.value.field


def test_a_child_reads_under_its_own_key_and_never_under_the_apps() -> None:
    ours, childs = (signature_of(opaque, "pickle", Formats(pickle_key=k)) for k in (KEY, OTHER_KEY))
    payload = ours.encode((Opaque(7),), {}, LIMIT)
    result = childs.encode_result(Opaque(8), LIMIT)

    assert childs.decode(ours.payload_for(payload, OTHER_KEY))[1]["value"].inside == 7
    assert ours.decode_result(ours.result_from(result, OTHER_KEY)).inside == 8
    with pytest.raises(PickleRefused):
        childs.decode(payload)
    with pytest.raises(PickleRefused):
        ours.decode_result(result)


def test_keys_are_in_no_repr() -> None:
    assert KEY not in repr(FORMATS)
