"""Limits as users write them: keys from arguments, and what is refused."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from windlass import App, Concurrency, FairShare, Rate
from windlass.errors import BadLimitKey, BadOption
from windlass.model.limits import Cap, Limits, Pace, decode_limits


@dataclass
class Order:
    customer: str
    region: str


def task(*limits: Any, name: str = "shop.ship") -> Any:
    """Return a task of an app without a store under these limits."""

    def ship(order: Order, tenant: str = "t", *, weight: dict[str, int] | None = None) -> None: ...

    return App("sqlite:///never-opened.db").task(name=name, limits=list(limits))(ship)


def task_with_options(**options: Any) -> Any:
    """Return a task with options which the type checker would refuse."""
    return App("sqlite:///never-opened.db").task(**options)(print)


def limits_of(task: Any, *args: Any, **kwargs: Any) -> Limits:
    request = task.prepare(*args, **kwargs)
    assert request.limits is not None
    return decode_limits(request.limits)


ORDER = Order("ann", "eu")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (None, ""),
        ("tenant", "t"),
        ("order.customer", "ann"),
        ("{tenant}/{order.region}", "t/eu"),
        ("weight.kg", "3"),
        (lambda order, tenant, weight: order.region * 2, "eueu"),
    ],
)
def test_a_key_is_worked_out_from_the_arguments(
    key: str | Callable[..., object] | None, expected: str
) -> None:
    limited = task(Concurrency(2, key=key, name="n"))

    assert limits_of(limited, ORDER, weight={"kg": 3}).caps == (Cap("n", expected, 2),)


def test_a_limit_without_a_name_is_the_tasks_own() -> None:
    one, other = task(Concurrency(2, key="tenant")), task(Concurrency(2), name="shop.pack")

    assert limits_of(one, ORDER).caps == (Cap("shop.ship:tenant", "t", 2),)
    assert limits_of(other, ORDER).caps == (Cap("shop.pack", "", 2),)


def test_a_rate_is_an_interval_and_a_burst() -> None:
    limited = task(Rate(30, per=60, burst=5, name="api"), FairShare("tenant"))

    assert limits_of(limited, ORDER) == Limits(
        paces=(Pace("api", "", 2_000_000, 5),), shares=("t",)
    )


def test_an_interval_is_never_rounded_to_a_start_too_many() -> None:
    assert Rate(7, per=1).interval_us * 7 >= 1_000_000


def test_a_task_without_limits_makes_jobs_without_a_lane() -> None:
    request = task().prepare(ORDER)

    assert (request.lane, request.limits) == (None, None)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Concurrency(0), "most"),
        (lambda: Concurrency(True), "most"),
        (lambda: Rate(1, per=0), "per"),
        (lambda: Rate(1, per=-1), "per"),
        (lambda: Rate(1, per=1, burst=0), "burst"),
        (lambda: Rate(1, per=1e12), "per"),
        (lambda: task(Concurrency(1, key="tenent")), "did you mean 'tenant'?"),
        (lambda: task(Concurrency(1, key="order..x")), "no path"),
        (lambda: task(Concurrency(1, key="{tenant!r}")), "paths only"),
        (lambda: task(Concurrency(1, key="{tenant")), "cannot be read"),
        (lambda: task(Concurrency(1, key="{}")), "no path"),
        (lambda: task(Concurrency(1, key="")), "must be a path"),
        (lambda: task(Concurrency(1, key="a{{b")), "paths only"),
        (lambda: task(Concurrency(1, name="\n")), "name"),
        (lambda: task(FairShare(None)), "between whom"),
        (lambda: task("2/s"), "must be a Concurrency, a Rate, a FairShare or a Batch"),
        (lambda: task_with_options(limits="2/s"), "must be a list"),
    ],
)
def test_a_limit_that_cannot_be_kept_is_refused_where_it_is_defined(
    make: Callable[[], object], told: str
) -> None:
    with pytest.raises(BadOption, match=told.replace("?", r"\?")):
        make()


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("order.customers", "no attribute 'customers'"),
        ("weight.kg", "NoneType"),
        (lambda order, tenant, weight: 1 / 0, "ZeroDivisionError"),
        (lambda order, tenant, weight: "x" * 300, "printable text of up to 200"),
        (lambda order, tenant, weight: "\0", "printable"),
    ],
)
def test_a_key_that_these_arguments_do_not_have_is_refused_at_enqueue(key: Any, told: str) -> None:
    with pytest.raises(BadLimitKey, match=told):
        task(Concurrency(1, key=key)).prepare(ORDER)
