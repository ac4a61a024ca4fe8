"""What the front ends have in common."""

import builtins
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from windlass import App
from windlass.contrib.front_ends.exceptions import Exceptions, loaded_class
from windlass.contrib.front_ends.places import Place, store_in
from windlass.core.capture import error_info
from windlass.model.outcomes import ErrorInfo


class Missing(Exception):
    """Stands for one that is not loaded."""


class Misfit(Exception):
    """Stands for one that does not take its arguments."""


class Order(Exception):
    """Has a class within."""

    class Late(Exception):
        """The order is late."""


class Picky(Exception):
    """Wants two arguments, and keeps one."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(a + b)


@dataclass(frozen=True)
class Frozen(Exception):
    """Nobody may set anything of it."""

    code: int


def plain(value: Any) -> Any:
    if type(value) is object:
        raise TypeError("no form")
    return value


TRAVEL = Exceptions(
    plain, lambda args: args, lambda *told: Missing(*told), lambda *told: Misfit(*told), 5
)


def there_and_back(error: BaseException, travel: Exceptions = TRAVEL) -> Exception:
    travel.carry(error)
    return travel.made(error_info(error))


@pytest.mark.parametrize(
    "error",
    [ValueError(), ValueError("x"), KeyError("a", 3), Order.Late({"n": [1]}), Frozen(3),
     OSError(2, "gone")],
)  # fmt: skip
def test_an_exception_comes_back_with_its_class_and_its_arguments(error: Exception) -> None:
    made = there_and_back(error)

    assert (type(made), made.args) == (type(error), error.args)


def test_the_traceback_shows_nothing_of_what_travels() -> None:
    error = KeyError("a", 3)
    TRAVEL.carry(error)

    assert error_info(error).traceback == "KeyError: ('a', 3)\n"
    assert not hasattr(error, "__notes__")


def test_what_has_no_plain_form_travels_as_its_repr() -> None:
    thing = object()
    assert there_and_back(ValueError(thing, 1)).args == (repr(thing), 1)


def test_causes_come_back_up_to_a_limit_and_a_context_that_was_suppressed_does_not() -> None:
    first: Exception = ValueError(0)
    for n in range(1, 9):
        try:
            raise ValueError(n) from first
        except ValueError as error:
            first = error
    made = there_and_back(first)
    chain = [made]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)  # type: ignore[arg-type]

    assert [each.args for each in chain] == [(n,) for n in (8, 7, 6, 5, 4, 3)]
    assert made.__suppress_context__
    assert made.__context__ is None


def test_one_exception_may_stand_for_another() -> None:
    asked = RuntimeError("again, please")
    TRAVEL.carry(asked, ValueError("x"))

    assert repr(TRAVEL.made(error_info(asked))) == "ValueError('x')"


def test_what_says_it_all_already_takes_no_room_and_what_is_too_long_is_left_out() -> None:
    assert TRAVEL.with_details(ErrorInfo("ValueError", "x"), ValueError("x")).details == ""

    long = TRAVEL.with_details(ErrorInfo("ValueError", "long"), ValueError("x" * 20_000))
    assert (long.details, str(TRAVEL.made(long))) == ("", "long")

    cause = ValueError("short")
    cause.__cause__ = ValueError("x" * 20_000)
    told = TRAVEL.with_details(ErrorInfo("KeyError", "?"), cause)
    assert (repr(TRAVEL.made(told)), TRAVEL.made(told).__cause__) == ("ValueError('short')", None)


def test_details_of_another_s_making_are_not_read() -> None:
    for details in ("not JSON", '{"other": 1}', '{"type": 3}'):
        made = TRAVEL.made(ErrorInfo("KeyError", "x", details=details))
        assert repr(made) == "KeyError('x')"


def test_a_class_that_is_missing_or_refuses_its_arguments_is_stood_in_for() -> None:
    assert there_and_back(Picky(1, 2)).args == (f"{__name__}.Picky", [3])
    made = TRAVEL.made(ErrorInfo(f"{__name__}.Gone", "y"))
    assert (type(made), made.args) == (Missing, (f"{__name__}.Gone", ["y"]))


@pytest.mark.parametrize(
    "name",
    [
        "antigravity.Boom",  # it would open a browser
        "builtins.eval", "print", "os.system", "os.path.os.system", "SystemExit", "builtins",
        "KeyboardInterrupt", "unheard.of.Error", "", ".", "..", "ValueError.", "sys.modules.x",
        f"{__name__}.plain.__class__", f"{__name__}.there_and_back.<locals>.E",
    ],
)  # fmt: skip
def test_only_classes_of_exceptions_that_are_loaded_are_found(name: str) -> None:
    before = set(sys.modules)

    assert loaded_class(name) is None
    assert set(sys.modules) == before


def test_a_module_is_not_asked_for_names_that_it_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    lazy = ModuleType("lazy")
    vars(lazy)["__getattr__"] = asked.append
    monkeypatch.setitem(sys.modules, "lazy", lazy)

    assert loaded_class("lazy.Error") is None
    assert not asked
    assert loaded_class("builtins.OSError") is loaded_class("OSError") is builtins.OSError


# -- places ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "is_store"),
    [
        ("sqlite:///jobs.db", True),
        ("SQLite:///jobs.db", True),
        ("postgresql://ann@host/jobs", True),
        ("postgresql+psycopg2://ann@host/jobs", True),
        ("redis://:pa[ss@host/0", False),
        ("sqla+postgresql://host/jobs", False),
        ("", False),
        (None, False),
        (["redis://a", "redis://b"], False),
    ],
)
def test_a_url_is_of_a_store_or_of_another_place(url: object, is_store: bool) -> None:
    assert store_in(url) == (url if is_store else None)


def test_the_first_use_says_once_where_jobs_go_and_what_is_of_no_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WINDLASS_STORE", raising=False)
    told: list[tuple[int, str]] = []
    place = Place(lambda *line: told.append(line))
    for _ in range(2):
        place.tell(App(), ["redis://:secret@host", "pool_size"])

    line = "jobs go to sqlite:///windlass.db (setting store, from default)"
    assert told == [(logging.WARNING, f"{line}; not used: redis://:***@host, pool_size")]


def test_a_store_that_was_named_is_no_cause_for_a_warning() -> None:
    told: list[tuple[int, str]] = []
    Place(lambda *line: told.append(line)).tell(App("sqlite:///a.db"), ["redis://host"])
    Place(lambda *line: told.append(line)).tell(App("postgresql://u:secret@h/b"))

    assert told == [
        (logging.INFO, "jobs go to sqlite:///a.db (setting store, from argument); "
                       "not used: redis://host"),
        (logging.INFO, "jobs go to postgresql://u:***@h/b (setting store, from argument)"),
    ]  # fmt: skip
