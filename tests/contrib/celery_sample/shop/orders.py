"""The shop's own tasks."""

import os
import time
from datetime import datetime, timedelta, UTC

from shop.celery import app
from shop.mail import note

from celery import Task, chain, chord, current_task, group, signature
from celery.exceptions import MaxRetriesExceededError, SoftTimeLimitExceeded


class SoldOut(Exception):
    """There is not enough of an article."""

    def __init__(self, article, left):
        super().__init__(article, left)
        self.article = article
        self.left = left


class Closed(Exception):
    """The shop is closed."""


class Unlucky(Closed):
    """It will not open again."""


class Diary(Task):
    """A task that writes down how it went."""

    def on_success(self, retval, task_id, args, kwargs):
        note(f"success: {self.name} {retval} {args} {kwargs}")

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        note(f"failure: {self.name} {exc!r} {args} {kwargs} {task_id == self.request.id}")

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        note(f"retry: {self.name} {exc!r}")

    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        note(f"after: {self.name} {status}")

    def before_start(self, task_id, args, kwargs):
        note(f"before: {self.name} {args}")


@app.task
def add(x, y):
    return x + y


@app.task
def mul(x: int, y: int = 2) -> int:
    return x * y


@app.task
def xsum(numbers):
    return sum(numbers)


@app.task
def total(*numbers, scale=1, **more):
    return [sum(numbers) * scale, sorted(more)]


@app.task
def ping():
    return "pong"


@app.task
def echo(value):
    return value


@app.task
def describe(value):
    """Say what arrived, as text, so that types are seen."""
    return repr(value)


@app.task
def after_day(day: datetime):
    return day + timedelta(days=1)


@app.task
def sell(article, left):
    raise SoldOut(article, left)


@app.task
def lookup(key):
    return {"tea": 3}[key]


@app.task
def divide(x, y):
    return x / y


@app.task(bind=True, max_retries=5, default_retry_delay=0.1)
def flaky(self, fails):
    if self.request.retries < fails:
        try:
            raise Closed(f"attempt {self.request.retries}")
        except Closed as exc:
            raise self.retry(exc=exc, countdown=0.1)
    return [self.request.retries, self.request.id is not None]


@app.task(bind=True, default_retry_delay=0)
def hopeless(self, with_exc):
    try:
        raise Closed("for good")
    except Closed as exc:
        if with_exc:
            raise self.retry(exc=exc, max_retries=2)
    self.retry(max_retries=1)


@app.task(bind=True, max_retries=2, default_retry_delay=0)
def gives_up_politely(self):
    try:
        self.retry()
    except MaxRetriesExceededError:
        return f"gave up after {self.request.retries}"


@app.task(bind=True, max_retries=None, default_retry_delay=0)
def stubborn(self, fails):
    if self.request.retries < fails:
        raise self.retry(countdown=0)
    return self.request.retries


@app.task(
    bind=True,
    autoretry_for=(Closed,),
    dont_autoretry_for=(Unlucky,),
    retry_backoff=1,
    retry_backoff_max=1,
    retry_jitter=False,
    retry_kwargs={"max_retries": 2},
)
def auto(self, fails, unlucky=False):
    if unlucky:
        raise Unlucky(self.request.retries)
    if self.request.retries < fails:
        raise Closed(f"retry {self.request.retries}")
    return self.request.retries


@app.task(base=Diary, bind=True, max_retries=1, default_retry_delay=0)
def audited(self, how, *, who="ann"):
    if how == "fail":
        raise Closed(who)
    if how == "retry" and self.request.retries == 0:
        raise self.retry(exc=Closed(who))
    return f"{how} by {who}"


@app.task(bind=True)
def facts(self, *args, **kwargs):
    request = self.request
    return {
        "args": request.args,
        "kwargs": request.kwargs,
        "retries": request.retries,
        "eager": request.is_eager,
        "direct": request.called_directly,
        "task": self.name if request.called_directly else request.task,
        "same": current_task.request.id == request.id,
        "name": self.name,
        "queue": (request.delivery_info or {}).get("routing_key"),
        "ids": [request.id, request.root_id, request.parent_id, request.group],
    }


@app.task(bind=True)
def named(self, first, second=2, *, third=3):
    return [list(self.request.args), self.request.kwargs]


@app.task(bind=True, default_retry_delay=0)
def annotated(self):
    if self.request.retries < 3:
        raise self.retry(exc=Closed(self.request.retries))


@app.task(bind=True)
def once_more(self):
    if self.request.retries == 0:
        raise self.retry(eta=datetime.now(UTC) + timedelta(seconds=0.3))
    return self.request.retries


class Counting(Task):
    """A task that is a class."""

    name = "shop.counting"

    def __init__(self):
        self.factor = 3

    def run(self, x, y=1):
        return [x * y * self.factor, self.name]


class InContext(Task):
    """A task that is called within something, as with a web framework."""

    def __call__(self, *args, **kwargs):
        return ["within", self.run(*args, **kwargs)]


@app.task(base=InContext, bind=True, autoretry_for=(Closed,), default_retry_delay=0)
def within(self, fails):
    if self.request.retries < fails:
        raise Closed(self.request.retries)
    return self.request.retries


@app.task(time_limit=60)
def crash():
    os._exit(3)


@app.task(bind=True, time_limit=60)
def endless(self):
    note("began: endless")
    time.sleep(60)


counting = app.register_task(Counting())


@app.task(bind=True)
def brew(self, cups):
    for n in range(cups):
        self.update_state(state="PROGRESS", meta={"current": n + 1, "total": cups})
        wait_for(f"brew-{n + 1}")
    return cups


@app.task(bind=True)
def gate(self, name, value=None):
    note(f"began: {name}")
    wait_for(name)
    return value


def wait_for(name):
    """Wait until the driver opens a gate."""
    end = time.monotonic() + 20
    while not os.path.exists(os.path.join(os.environ["SHOP_GATES"], name)):
        if time.monotonic() > end:
            raise TimeoutError(name)
        time.sleep(0.02)


@app.task(soft_time_limit=1, time_limit=20)
def patient():
    try:
        time.sleep(15)
    except SoftTimeLimitExceeded:
        return "cleaned up"


@app.task(time_limit=1)
def stuck():
    time.sleep(15)


@app.task(bind=True)
def handed_on(self, x):
    raise self.replace(add.s(x, 1) | mul.s(10))


@app.task
def shout(callback, word):
    """Call what it was given."""
    signature(callback).apply_async((word.upper(),))
    return word


@app.task
def plan(n):
    """Start a whole workflow from within a task."""
    workflow = chord((add.si(i, i) for i in range(n)), xsum.s())
    return workflow.apply_async().id


@app.task
def joins():
    return ping.delay().get(timeout=5)


def workflows():
    """Return compositions by name, as the driver runs them."""
    return {
        "chain": chain(add.s(2, 2), add.s(4), mul.s(8)),
        "pipe": add.s(2, 2) | mul.s() | mul.s(y=5),
        "immutable": chain(add.s(2, 2), ping.si(), describe.s()),
        "starred": chain(add.s(1, 2), total.s(10, 20, scale=2, tea=1)),
        "group": group(add.s(i, i) for i in range(5)),
        "group of one": group(add.s(1, 1)),
        "chord": chord([add.s(i, i) for i in range(5)], xsum.s()),
        "chord by pipe": group(mul.s(i) for i in range(4)) | xsum.s(),
        "chord of one": group(add.s(1, 1)) | describe.s(),
        "chord of one, explicit": chord([add.s(1, 1)], describe.s()),
        "chain of groups": chain(add.s(1, 1), group(add.s(i) for i in range(3)), xsum.s(), mul.s()),
        "group at the end": chain(add.s(1, 1), group(mul.s(2), mul.s(3))),
        "chains in a group": group(chain(add.s(1, 1), mul.s(3)), chain(add.s(2, 2), mul.s(5))),
        "chains in a chord": chord([add.s(1, 1) | mul.s(3), add.s(2, 2) | mul.s(5)], xsum.s()),
        "two groups": group(add.s(1, 1), add.s(2, 2)) | group(xsum.s(), describe.s()),
        "group after group": chain(
            group(add.s(1, 1), add.s(2, 2)), group(xsum.s(), xsum.s()), xsum.s()
        ),
        "groups in a group": group(group(add.s(1, 1), add.s(2, 2)), add.s(3, 3)),
        "groups in a chord": chord([group(add.s(1, 1), add.s(2, 2)), add.s(3, 3)], xsum.s()),
        "group of groups after": chain(
            add.s(1, 1), group(add.s(1) | group(mul.s(2), mul.s(3)), add.s(5)), describe.s()
        ),
        "group to chord": group(add.s(1, 1), add.s(2, 2))
        | chord([xsum.s(), xsum.s()], describe.s()),
        "chord to group": chord([add.s(1, 1), add.s(2, 2)], xsum.s()) | group(mul.s(2), mul.s(3)),
        "chord to chord": chord([add.s(1, 1), add.s(2, 2)], xsum.s())
        | chord([mul.s(2), mul.s(3)], xsum.s()),
        "an empty group within": chain(add.s(1, 1), group([]), mul.s(3)),
        "chain that ends in a group, in a group": group(
            chain(add.s(1, 1), group(mul.s(2), mul.s(3))), add.s(5, 5)
        ),
        "the same in a chord": chord(
            [chain(add.s(1, 1), group(mul.s(2), mul.s(3))), add.s(5, 5)], describe.s()
        ),
        "chord with a group, in a chord": chord(
            [chord([add.s(1, 1)], group(xsum.s(), xsum.s())), add.s(5, 5)], describe.s()
        ),
        "chord in a chain": chain(
            add.s(1, 1), chord([add.s(10), add.s(20)], xsum.s()), describe.s()
        ),
        "chords in a group": group(chord([add.s(1, 1), add.s(2, 2)], xsum.s()), add.s(5, 5)),
        "chord of chords": chord(
            [chord([add.s(1, 1), add.s(2, 2)], xsum.s()), add.s(5, 5)], describe.s()
        ),
        "chord with a chain": chord([add.s(1, 1), add.s(2, 2)], xsum.s() | mul.s(3)),
        "chord with a group": chord([add.s(1, 1), add.s(2, 2)], group(xsum.s(), describe.s())),
        "chain in a chain": chain(chain(add.s(1, 1), mul.s(2)), chain(add.s(3), mul.s(4))),
        "immutable chord": chord([ping.si(), ping.si()], ping.si()),
        "by name": signature("shop.orders.add", args=(2, 3)) | signature("shop.orders.mul"),
        "partial kwargs": chain(add.s(1, 2), mul.s(y=7)),
        "empty chord": chord([], xsum.s()),
        "group in the middle, one": chain(add.s(1, 1), group(add.s(5)), describe.s()),
    }
