"""A user's module, read by type checkers alone: each line says what they must say of it.

``# error: CODE`` marks a line which must be refused; every other line must pass.
"""

from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, assert_type

from windlass import (
    INJECTED,
    App,
    Context,
    Depends,
    JobHandle,
    Retry,
    Schedule,
    Task,
    any_of,
    business_days,
    context,
    cron,
    every,
)

app = App("sqlite:///jobs.db")


@app.task(queue="mail", retry=Retry(attempts=5), timeout=timedelta(seconds=30))
async def send_email(to: str, subject: str, *, copies: int = 1) -> int:
    return len(to) + len(subject) + copies


@app.task
def thumbnail(path: Path) -> Path:
    return path


@app.task
async def ping() -> None: ...


@app.task(timeout=5, isolation="process")
def at(when: datetime) -> str:
    return str(when)


@app.task(
    isolation="process", memory_limit="512MB", cpu_limit=timedelta(minutes=1), recycle_after_jobs=9
)
def shrink(path: Path) -> int:
    return 1


app.task(isolation="process", memory_limit=1.5)  # error: call-overload


class Session:
    def __init__(self, ctx: Context) -> None: ...


SessionOf = Annotated[Session, Depends(Session)]


@app.task
def save(name: str, *, session: SessionOf = INJECTED, ctx: Context = INJECTED) -> int:
    assert_type(session, Session)
    assert_type(ctx, Context)
    return ctx.attempt


@app.task
def bare(name: str, session: SessionOf) -> None: ...


assert_type(save.enqueue("a").result(), int)
save("a", session=Session(INJECTED))
save.enqueue(7)  # error: arg-type
save("a", session="none")  # error: arg-type
bare.enqueue("a")  # error: call-arg
Depends(7)  # error: arg-type
Depends(Session, scope="session")  # error: arg-type
with app.override(Session, lambda: None):
    pass

assert_type(send_email.enqueue("a@example.org", subject="hi"), JobHandle[int])
assert_type(send_email.enqueue("a@example.org", "hi", copies=2).result(timeout=10), int)
assert_type(thumbnail.enqueue(Path("a")).result(), Path)
assert_type(ping.enqueue().result(), None)
assert_type(at.enqueue(datetime.min).result(timedelta(seconds=1)), str)
call: Coroutine[Any, Any, int] = send_email("a", "b")
assert_type(thumbnail(Path("a")), Path)

send_email.enqueue(7, subject="hi")  # error: arg-type
send_email.enqueue("a@example.org")  # error: call-arg
send_email.enqueue("a@example.org", subjekt="hi")  # error: call-arg
send_email.enqueue("a@example.org", "hi", 2)  # error: call-arg
send_email.prepare("a@example.org", subject=None)  # error: arg-type
thumbnail.enqueue("a.png")  # error: arg-type
thumbnail("a.png")  # error: arg-type
ping.enqueue(1)  # error: call-arg

bulk = send_email.using(delay=timedelta(minutes=5), priority=10, queue="bulk", unique_key="k")
assert_type(bulk.enqueue("a", subject="b"), JobHandle[int])
bulk.enqueue("a")  # error: call-arg
send_email.using(priority="high")  # error: arg-type
send_email.using(dealy=3)  # error: arg-type

app.enqueue_many([thumbnail.prepare(Path("a")), send_email.prepare("a", subject="b")])
app.enqueue_many([thumbnail])  # error: list-item


async def later() -> None:
    job = await send_email.aenqueue("a@example.org", subject="hi")
    assert_type(job, JobHandle[int])
    assert_type(await job.aresult(timeout=10), int)
    assert_type(await send_email("a", "b"), int)
    await send_email.aenqueue(to="a@example.org", subject=1)  # error: arg-type
    await thumbnail.aenqueue()  # error: call-arg


def takes_any_task(task: Task[..., Any, int]) -> None: ...


takes_any_task(send_email)
takes_any_task(thumbnail)  # error: arg-type


# -- schedules ---------------------------------------------------------------

nightly = cron("30 2 * * *", tz="Europe/Berlin", gap="shift")


@app.task(schedule=nightly)
async def clean() -> None:
    if (occasion := context().occasion) is not None:
        assert_type(occasion.fire_at, datetime)
        assert_type(occasion.window_start, datetime | None)


@app.task(schedule=[every(60), Schedule(nightly, name="night", arguments={"size": 9})])
def pack(size: int = 1) -> str:
    return "x" * size


assert_type(clean.enqueue().result(), None)
assert_type(pack.enqueue(size=3).result(), str)
policy = Schedule(
    any_of(nightly, business_days("09:00", which="last")),
    start=datetime(2027, 1, 1, tzinfo=UTC),
    jitter=timedelta(seconds=5),
    window=True,
    catch_up="all",
    catch_up_max=3,
    grace=None,
    overlap="queue_one",
    pause_after=3,
    tags=["night"],
)
row = app.schedules.put("packing", pack.using(priority=10), policy)
assert_type(row.next_at, datetime | None)
assert_type(app.job(app.schedules.start("packing")), JobHandle[Any])

app.task(schedule="30 2 * * *")  # error: arg-type
app.task(schedule=[60])  # error: list-item
Schedule("30 2 * * *")  # error: arg-type
Schedule(nightly, overlap="sometimes")  # error: arg-type
Schedule(nightly, catch_up="some")  # error: arg-type
Schedule(nightly, start="2027-01-01")  # error: arg-type
Schedule(nightly, arguments=[1])  # error: arg-type
Schedule(nightly, graze=3)  # error: call-arg
cron("30 2 * * *", gap="skipped")  # error: arg-type
cron(30)  # error: arg-type
every("minute")  # error: arg-type
app.schedules.put("packing", pack, 60)  # error: arg-type
app.schedules.put("packing", lambda: None, nightly)  # error: arg-type


async def in_transactions(connection: object) -> None:
    assert_type(thumbnail.enqueue_in(connection, Path("a.png")), JobHandle[Path])
    assert_type(await send_email.aenqueue_in(connection, "a", "b", copies=2), JobHandle[int])
    thumbnail.enqueue_in(connection)  # error: call-arg
    thumbnail.enqueue_in(connection, 1)  # error: arg-type
    thumbnail.enqueue_in()  # error: call-arg
    await send_email.aenqueue_in(connection, "a", "b", copy=2)  # error: call-arg
    app.enqueue_many_in(connection, [thumbnail.prepare(Path("a.png"))])


# -- DAGs and workflows ---------------------------------------------------------


@app.task
async def fetch_page(url: str, depth: int = 1) -> list[int]:
    return [depth]


@app.task
def add_up(numbers: list[int]) -> int:
    return sum(numbers)


@app.dag
def site(url: str, *, depth: int = 2) -> int:
    numbers = fetch_page.step(name="pages")(url, depth=depth)
    assert_type(numbers, list[int])
    total = add_up(numbers)
    assert_type(total, int)
    add_up.step(rule="all_done", after=[numbers])([1])
    add_up(url)  # error: arg-type
    fetch_page.step()(url, deep=1)  # error: call-arg
    add_up.step(rule="all_doen")([1])  # error: arg-type
    return total


@app.dag(schedule=cron("0 5 * * *"))
def nights() -> list[int]:
    return [site("a"), add_up([1])]


@app.workflow
async def crawl(url: str) -> str:
    numbers = await fetch_page(url)
    assert_type(numbers, list[int])
    total = await add_up.astep(numbers)
    assert_type(total, int)
    of_site = await site.astep(url, depth=3)
    assert_type(of_site, int)
    await add_up.astep("x")  # error: arg-type
    return await crawl(url)


async def run_them() -> None:
    assert_type(site.enqueue("a", depth=1).result(), int)
    assert_type(await (await crawl.aenqueue("a")).aresult(), str)
    assert_type(nights.enqueue().result(), list[int])
    site.enqueue(7)  # error: arg-type
    crawl.enqueue("a", 2)  # error: call-arg
    for step in app.runs.steps(site.enqueue("b").id):
        assert_type(step.name, str)
