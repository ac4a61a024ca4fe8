"""Uses the shop in the ways that Celery's documentation teaches; prints what came of it."""

import json
import os
import sys
import time
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID, uuid4

from celery import Signature, chain, chord, group
from celery.exceptions import ChordError, TaskRevokedError, TimeLimitExceeded
from celery.result import AsyncResult, GroupResult
from shop import app, orders
from shop.mail import alarm, forget_me, old_alarm, send, sleepy, when, write_down
from shop.reports import monthly

WAIT = 30


def opened(name):
    with open(os.path.join(os.environ["SHOP_GATES"], name), "w"):
        pass


def diary(*beginnings, count=1):
    """Return the lines with one of the beginnings, once there are that many."""
    end = time.monotonic() + WAIT
    while True:
        try:
            with open(os.environ["SHOP_DIARY"], encoding="utf-8") as lines:
                found = [line.strip() for line in lines if line.startswith(beginnings)]
        except FileNotFoundError:
            found = []
        if len(found) >= count or time.monotonic() > end:
            return found
        time.sleep(0.02)


def error_of(call):
    """Return what a call raises, so that it can be compared."""
    try:
        return ["returned", call()]
    except Exception as error:
        return [type(error).__name__, type(error).__module__.split(".")[-1], shown(error.args)]


def shown(value):
    if isinstance(value, (list, tuple)):
        return [shown(one) for one in value]
    return value if isinstance(value, (int, float, str, type(None))) else repr(value)


def until(holds):
    end = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def calling():
    job = orders.add.delay(4, 4)
    value = job.get(timeout=WAIT)
    by_id = AsyncResult(job.id)
    mine = str(uuid4())
    named = orders.add.apply_async((1, 2), task_id=mine)
    return {
        "delay": value,
        "direct": orders.add(1, 2),
        "apply_async": orders.add.apply_async((2, 2)).get(timeout=WAIT),
        "kwargs": orders.add.apply_async(kwargs={"x": 1, "y": 5}).get(timeout=WAIT),
        "mixed": send.apply_async(("ann",), {"subject": "news"}).get(timeout=WAIT),
        "default": send.delay("bob").get(timeout=WAIT),
        "any type": orders.mul.delay(1.5, "2" and 4).get(timeout=WAIT),
        "stars": orders.total.delay(1, 2, scale=3, tea=1, pot=2).get(timeout=WAIT),
        "no arguments": orders.ping.delay().get(timeout=WAIT),
        "by id": [by_id.get(timeout=WAIT), by_id.state, by_id.status, by_id.ready()],
        "ended well": [by_id.successful(), by_id.failed(), by_id.result, by_id.info],
        "own id": [named.get(timeout=WAIT), named.id == mine, named.task_id == mine],
        "of the app": app.AsyncResult(job.id).get(timeout=WAIT),
        "of the task": orders.add.AsyncResult(job.id).get(timeout=WAIT),
        "send_task": app.send_task("shop.orders.add", args=(5, 6)).get(timeout=WAIT),
        "send_task, kwargs": app.send_task("shop.orders.add", kwargs={"x": 5, "y": 7}).get(
            timeout=WAIT
        ),
        "name": [orders.add.name, send.name, write_down.name],
        "registered": "shop.orders.add" in app.tasks,
        "unknown id": [AsyncResult(str(uuid4())).state, AsyncResult(str(uuid4())).ready()],
        "too few": error_of(lambda: orders.add.delay(1))[0],
        "too many": error_of(lambda: orders.add.delay(1, 2, 3))[0],
        "unknown name": error_of(lambda: orders.add.delay(1, z=2))[0],
        "ignored": forget_me.delay(1).get(timeout=WAIT),
        "route": monthly.delay(7).get(timeout=WAIT),
        "queue": orders.facts.apply_async(queue="reports").get(timeout=WAIT)["queue"],
        "default queue": orders.facts.delay().get(timeout=WAIT)["queue"],
        "priority": orders.add.apply_async((1, 1), priority=3).get(timeout=WAIT),
        "a class": orders.counting.delay(2, y=2).get(timeout=WAIT),
        "within": [orders.within.delay(1).get(timeout=WAIT), orders.within(0)],
        "called facts": {k: v for k, v in orders.facts(1, a=2).items() if k != "ids"},
    }


def values():
    there = {
        "tuple": (1, (2, 3)),
        "dict": {"a": [1, None, True], "b": {"c": 1.5}},
        "number as key": {1: "a", 2.5: "b", None: "c"},
        "datetime": datetime(2024, 2, 29, 12, 30, 1, 5),
        "aware": datetime(2024, 2, 29, 12, 30, tzinfo=timezone(timedelta(hours=2))),
        "date": date(2024, 2, 29),
        "decimal": Decimal("1.10"),
        "uuid": UUID("12345678-1234-5678-1234-567812345678"),
        "bytes": b"\x00\xff tea",
        "text bytes": b"tea",
        "large": 2**80,
        "nan": float("nan"),
        "infinite": [float("inf"), float("-inf")],
        "text": "täglich \u2713 \U0001f375",
        "float": 1e300,
        "nested": [{"when": datetime(2024, 1, 1)}, [Decimal("2")]],
        "none": None,
        "empty": [[], {}, ""],
    }
    seen = {name: orders.describe.delay(value) for name, value in there.items()}
    back = {name: orders.echo.delay(value) for name, value in there.items()}
    return {
        "arrived": {name: job.get(timeout=WAIT) for name, job in seen.items()},
        "returned": {name: repr(job.get(timeout=WAIT)) for name, job in back.items()},
        "annotated": repr(orders.after_day.delay(datetime(2024, 2, 28)).get(timeout=WAIT)),
        "a date more": repr(
            chain(orders.echo.s(date(2024, 1, 1)), orders.describe.s()).delay().get(timeout=WAIT)
        ),
    }


def failing():
    sold_out = orders.sell.delay("tea", 3)
    closed = orders.divide.delay(1, 0)
    kept = error_of(lambda: sold_out.get(timeout=WAIT))
    closed.get(timeout=WAIT, propagate=False)
    slow = sleepy.delay(1.5, "at last")
    late = error_of(lambda: slow.get(timeout=0.2))[:1]
    return {
        "own type": [*kept, isinstance(sold_out.result, orders.SoldOut), sold_out.result.left],
        "state": [sold_out.state, sold_out.failed(), sold_out.ready(), sold_out.successful()],
        "traceback": ["SoldOut" in sold_out.traceback, "in sell" in sold_out.traceback],
        "built in": error_of(lambda: closed.get(timeout=WAIT)),
        "key": error_of(lambda: orders.lookup.delay("pot").get(timeout=WAIT)),
        "unpropagated": repr(orders.lookup.delay("pot").get(timeout=WAIT, propagate=False)),
        "info": repr(closed.info),
        "maybe_throw": error_of(closed.maybe_throw),
        "timeout": late,
        "goes on": slow.get(timeout=WAIT),
        "not found": isinstance(error_of(lambda: AsyncResult(str(uuid4())).get(timeout=0.2)), list),
        "no join": error_of(lambda: orders.joins.delay().get(timeout=WAIT))[:2],
    }


def retrying():
    jobs = {
        "twice": orders.flaky.delay(2),
        "never": orders.flaky.delay(0),
        "with exc": orders.hopeless.delay(True),
        "without exc": orders.hopeless.delay(False),
        "polite": orders.gives_up_politely.delay(),
        "stubborn": orders.stubborn.delay(7),
        "auto": orders.auto.delay(1),
        "auto, too often": orders.auto.delay(9),
        "auto, unlucky": orders.auto.delay(0, unlucky=True),
    }
    found = {name: error_of(lambda job=job: job.get(timeout=WAIT)) for name, job in jobs.items()}
    found["without exc"][-1] = "Can't retry" in found["without exc"][-1][0]
    waiting = orders.flaky.apply_async((1,))
    waiting.get(timeout=WAIT)
    states = {name: job.state for name, job in jobs.items()}
    sleeping = orders.auto.delay(1)
    until(lambda: sleeping.state == "RETRY")
    return {
        "found": found,
        "states": states,
        "while it waits": [sleeping.state, repr(sleeping.result), sleeping.ready()],
        "direct": error_of(lambda: orders.hopeless(True))[:2],
        "annotated": error_of(lambda: orders.annotated.delay().get(timeout=WAIT)),
        "at an instant": orders.once_more.delay().get(timeout=WAIT),
    }


def timing():
    began = time.time()
    later = when.apply_async(countdown=1)
    eta = when.apply_async(eta=datetime.now(UTC) + timedelta(seconds=1))
    expired = orders.ping.apply_async(countdown=1.5, expires=0.5)
    at_an_instant = orders.ping.apply_async(expires=datetime.now(UTC) - timedelta(seconds=5))
    in_time = orders.ping.apply_async(expires=60)
    revoked = orders.ping.apply_async(countdown=2)
    revoked.revoke()
    by_app = orders.ping.apply_async(countdown=2)
    app.control.revoke(by_app.id)
    later_step = chain(when.si(), when.si().set(countdown=1)).apply_async()
    endless = orders.endless.delay()
    diary("began: endless")
    endless.revoke(terminate=True)
    soft = orders.patient.delay()
    hard = orders.stuck.delay()
    crashed = orders.crash.delay()
    return {
        "countdown": later.get(timeout=WAIT) - began >= 1,
        "eta": eta.get(timeout=WAIT) - began >= 1,
        "later step": later_step.get(timeout=WAIT) - later_step.parent.get(timeout=WAIT) >= 1,
        "in time": in_time.get(timeout=WAIT),
        "expired": [*error_of(lambda: expired.get(timeout=WAIT)), expired.state],
        "expired before": [*error_of(lambda: at_an_instant.get(timeout=WAIT)), at_an_instant.state],
        "revoked": [*error_of(lambda: revoked.get(timeout=WAIT)), revoked.state],
        "by the app": [*error_of(lambda: by_app.get(timeout=WAIT)), by_app.state],
        "terminated": [error_of(lambda: endless.get(timeout=WAIT))[:2], endless.state],
        "caught": [isinstance(by_app.result, TaskRevokedError), by_app.failed(), by_app.ready()],
        "soft limit": soft.get(timeout=WAIT),
        "hard limit": [error_of(lambda: hard.get(timeout=WAIT)), hard.state],
        "its type": isinstance(hard.result, TimeLimitExceeded),
        "crash": [error_of(lambda: crashed.get(timeout=WAIT))[:2], crashed.state],
    }


def composing():
    results = {name: flow.apply_async() for name, flow in orders.workflows().items()}
    found = {name: result.get(timeout=WAIT) for name, result in results.items()}
    kinds = {name: type(result).__name__ for name, result in results.items()}
    chained = results["chain"]
    return {
        "found": found,
        "kinds": kinds,
        "by call": chain(orders.add.s(1, 1), orders.mul.s(3))().get(timeout=WAIT),
        "given the first": chain(orders.add.s(1), orders.mul.s(3)).delay(5).get(timeout=WAIT),
        "chord by call": chord([orders.add.s(1, 1), orders.add.s(2, 2)])(orders.xsum.s()).get(
            timeout=WAIT
        ),
        "parents": [
            chained.parent.get(timeout=WAIT),
            chained.parent.parent.get(timeout=WAIT),
            chained.parent.parent.parent,
        ],
        "chord's parent": type(results["chord"].parent).__name__,
        "group given": group(orders.add.s(1), orders.add.s(2)).apply_async((10,)).get(timeout=WAIT),
        "replaced, linked": [
            chain(orders.handed_on.s(4), orders.add.s(1)).delay().get(timeout=WAIT),
            group(orders.handed_on.s(1), orders.add.s(1, 1)).delay().get(timeout=WAIT),
            chord([orders.handed_on.s(1), orders.add.s(1, 1)], orders.xsum.s())
            .delay()
            .get(timeout=WAIT),
        ],
        "replaced": orders.handed_on.delay(4).get(timeout=WAIT),
        "within a task": AsyncResult(orders.plan.delay(4).get(timeout=WAIT)).get(timeout=WAIT),
        "map": orders.xsum.map([[1, 2], [3, 4]]).delay().get(timeout=WAIT),
        "starmap": orders.add.starmap([(1, 2), (3, 4)]).delay().get(timeout=WAIT),
        "chunks": orders.add.chunks([(i, i) for i in range(5)], 2).apply_async().get(timeout=WAIT),
        "chunks, group": orders.add.chunks([(i, i) for i in range(4)], 2)
        .group()
        .apply_async()
        .get(timeout=WAIT),
    }


def of_groups():
    job = group(orders.add.s(i, i) for i in range(3)).apply_async()
    values = job.get(timeout=WAIT)
    broken = group(orders.add.s(1, 1), orders.divide.s(1, 0)).apply_async()
    error = error_of(lambda: broken.get(timeout=WAIT))
    until(broken.ready)
    return {
        "type": isinstance(job, GroupResult),
        "values": values,
        "join": job.join(timeout=WAIT),
        "facts": [
            job.ready(),
            job.successful(),
            job.failed(),
            job.waiting(),
            job.completed_count(),
        ],
        "each": [each.get(timeout=WAIT) for each in job],
        "len": [len(job), len(job.results), job[1].get(timeout=WAIT)],
        "ids": len({each.id for each in job.results}),
        "broken": error,
        "broken facts": [
            broken.ready(),
            broken.successful(),
            broken.failed(),
            broken.completed_count(),
        ],
        "kept": [shown(one) for one in broken.get(timeout=WAIT, propagate=False)],
    }


def breaking():
    chained = chain(orders.divide.s(1, 0), orders.add.s(1), orders.add.s(2)).apply_async()
    chord_ = chord([orders.add.s(1, 1), orders.divide.s(1, 0)], orders.xsum.s()).apply_async()
    until(chord_.ready)
    in_chord = error_of(lambda: AsyncResult(chord_.id).get(timeout=WAIT))
    in_chord[-1] = ["raised ZeroDivisionError('division by zero')" in in_chord[-1][0]]
    return {
        "chain": error_of(lambda: chained.get(timeout=WAIT)),
        "its first": [chained.parent.parent.state, chained.parent.parent.failed()],
        "its last": [chained.state, repr(chained.result)],
        "chord with its header": error_of(lambda: chord_.get(timeout=WAIT)),
        "chord": in_chord,
        "its body": [chord_.state, isinstance(chord_.result, ChordError)],
    }


def linking():
    orders.add.apply_async((2, 2), link=write_down.s("linked")).get(timeout=WAIT)
    orders.add.apply_async((3, 3), link=[write_down.s("one"), write_down.si("two", "si")]).get(
        timeout=WAIT
    )
    with_link = orders.add.s(5, 5)
    with_link.link(write_down.s("sig"))
    with_link.delay().get(timeout=WAIT)
    bad = orders.divide.apply_async((1, 0), link_error=alarm.s())
    old = orders.divide.apply_async((1, 0), link_error=old_alarm.s())
    on = orders.divide.s(1, 0).on_error(alarm.s()).apply_async()
    in_chain = chain(orders.add.s(1, 1), orders.divide.s(0)).apply_async(link_error=alarm.s())
    for job in (bad, old, on, in_chain):
        error_of(lambda job=job: job.get(timeout=WAIT))
    names = {bad.id: "bad", old.id: "old", on.id: "on", in_chain.id: "in chain"}
    alarms = diary("alarm", "old alarm", count=4)
    for job_id, name in names.items():
        alarms = [line.replace(job_id, name) for line in alarms]
    of_chain = chain(orders.add.s(1, 1), orders.add.s(5)).apply_async(
        link=write_down.s("of a chain")
    )
    of_chain.get(timeout=WAIT)
    retried = orders.flaky.apply_async((1,), link=write_down.s("after a retry"))
    retried.get(timeout=WAIT)
    return {
        "links": sorted(diary("linked", "one", "si:", "sig", count=4)),
        "errors": sorted(alarms),
        "of a chain": diary("of a chain"),
        "after a retry": diary("after a retry"),
    }


def signatures():
    partial = orders.add.s(2)
    sig = orders.add.signature((2, 3), countdown=0)
    as_json = json.loads(json.dumps(orders.add.s(1, 2)))
    shouted = orders.shout.delay(write_down.s(prefix="shouted"), "tea").get(timeout=WAIT)
    return {
        "called": orders.add.s(2, 3)(),
        "partly": partial(4),
        "delay": partial.delay(4).get(timeout=WAIT),
        "kwargs": orders.add.s(x=1).delay(y=2).get(timeout=WAIT),
        "overridden": orders.mul.s(2, y=3).apply_async(kwargs={"y": 10}).get(timeout=WAIT),
        "options": sig.apply_async().get(timeout=WAIT),
        "parts": [list(sig.args), sig.kwargs, sig.task, sig.immutable, orders.ping.si().immutable],
        "clone": list(partial.clone((9,)).args),
        "set": orders.facts.s().set(queue="reports").delay().get(timeout=WAIT)["queue"],
        "immutable": orders.ping.si().delay().get(timeout=WAIT),
        "from json": Signature.from_dict(as_json).delay().get(timeout=WAIT),
        "repr": repr(orders.add.s(2, 2)),
        "as a dict": {k: as_json[k] for k in ("task", "args", "kwargs", "immutable")},
        "given to a task": [shouted, diary("shouted")],
        "invert": ~orders.add.s(20, 22),
        "equal": orders.add.s(1, 2) == orders.add.s(1, 2),
        "pipes": repr(orders.add.s(1, 2) | orders.add.s(3)),
    }


def progress():
    job = orders.brew.delay(2)
    seen = []
    for n in (1, 2):
        until(lambda n=n: (job.info or {}).get("current") == n)
        seen.append([job.state, job.info, job.ready()])
        opened(f"brew-{n}")
    value = job.get(timeout=WAIT)
    gated = orders.gate.delay("one", 5)
    diary("began: one")
    states = [gated.state]
    opened("one")
    return {
        "seen": seen,
        "value": value,
        "then": [job.state, job.info],
        "running": states,
        "gated": gated.get(timeout=WAIT),
    }


def eagerly():
    bad = orders.divide.apply((1, 0))
    flow = chain(orders.add.s(1, 1), orders.mul.s(3))
    return {
        "value": orders.add.apply((2, 2)).get(),
        "kwargs": orders.add.apply(kwargs={"x": 1, "y": 2}).result,
        "state": orders.add.apply((2, 2)).state,
        "facts": [orders.add.apply((2, 2)).successful(), bad.failed(), bad.ready(), bad.state],
        "error": error_of(bad.get),
        "its result": repr(bad.result),
        "thrown": error_of(lambda: orders.divide.apply((1, 0), throw=True)),
        "retried": orders.flaky.apply((2,)).get()[0],
        "exceeded": error_of(orders.hopeless.apply((True,)).get),
        "chain": flow.apply().get(),
        "group": group(orders.add.s(1, 1), orders.add.s(2, 2)).apply().get(),
        "chord": chord([orders.add.s(1, 1), orders.add.s(2, 2)], orders.xsum.s()).apply().get(),
        "sig": orders.add.s(2).apply((3,)).get(),
        "facts of it": {
            k: v for k, v in orders.facts.apply((1,)).get().items() if k not in ("ids", "queue")
        },
    }


def handlers():
    found = [
        error_of(lambda: orders.audited.delay("sell").get(timeout=WAIT)),
        error_of(lambda: orders.audited.delay("fail", who="bob").get(timeout=WAIT)),
        error_of(lambda: orders.audited.delay("retry").get(timeout=WAIT)),
    ]
    kinds = ("success:", "failure:", "retry:", "after:", "before:")
    return {"found": found, "diary": sorted(diary(*kinds, count=11))}


def asking():
    first = orders.facts.delay(1, a=2)
    told = first.get(timeout=WAIT)
    chained = chain(orders.facts.si(), orders.facts.si()).apply_async()
    second = chained.get(timeout=WAIT)
    grouped = group(orders.facts.si(), orders.facts.si()).apply_async()
    in_group = grouped.get(timeout=WAIT)
    whole = chord([orders.facts.si(), orders.facts.si()], orders.facts.s()).apply_async()
    body = whole.get(timeout=WAIT)
    header = [each["ids"] for each in whole.parent.get(timeout=WAIT)]
    fanned = chain(orders.facts.si(), group(orders.facts.si(), orders.facts.si())).apply_async()
    fan = [each["ids"] for each in fanned.get(timeout=WAIT)]
    ids = told.pop("ids")
    calls = [((1,), {}), ((1, 2), {"third": 4}), ((), {"first": 1}), ((1,), {"second": 5})]
    return {
        "first": told,
        "as called": [orders.named.apply_async(a, k).get(timeout=WAIT) for a, k in calls],
        "in a chain": chain(orders.add.s(1, 1), orders.named.s(second=3)).delay().get(timeout=WAIT),
        "ids": [ids[0] == first.id, ids[1] == first.id, ids[2], ids[3]],
        "chained": [
            second["ids"][0] == chained.id,
            second["ids"][1] == chained.parent.id,
            second["ids"][2] == chained.parent.id,
        ],
        "grouped": [each["ids"][3] == grouped.id for each in in_group],
        "roots": [each["ids"][1] == job.id for each, job in zip(in_group, grouped, strict=True)],
        "header": [[each[1] == each[0], each[2], each[3] == whole.parent.id] for each in header],
        "body": [body["ids"][1] in [each[0] for each in header], body["ids"][3] == whole.parent.id],
        "fanned": [[each[1] == fanned.parent.id, each[2] == fanned.parent.id] for each in fan],
    }


def inline():
    app.conf.task_always_eager = True
    try:
        job = orders.add.delay(1, 2)
        return {
            "value": [job.get(), job.state],
            "error": error_of(lambda: orders.divide.delay(1, 0).get()),
            "shared": send.delay("ann").get(),
            "retried": orders.flaky.delay(1).get()[0],
            "chain": chain(orders.add.s(1, 1), orders.mul.s(3)).delay().get(),
            "group": group(orders.add.s(1, 1), orders.add.s(2, 2)).delay().get(),
            "chord": chord([orders.add.s(1, 1), orders.add.s(2, 2)])(orders.xsum.s()).get(),
        }
    finally:
        app.conf.task_always_eager = False


def scheduled():
    return [sorted(set(diary("note: tick", count=2))), sorted(set(diary("beat tock", count=2)))]


PARTS = (calling, values, failing, retrying, timing, composing, of_groups, breaking, linking,
         signatures, progress, eagerly, handlers, asking, inline, scheduled)  # fmt: skip


if __name__ == "__main__":
    wanted = sys.argv[1:] or [part.__name__ for part in PARTS]
    told = {part.__name__: part() for part in PARTS if part.__name__ in wanted}
    print(json.dumps(told, indent=1, sort_keys=True, default=repr))
