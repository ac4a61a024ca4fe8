"""``windlass schedules …`` and what ``windlass check`` says of schedules, as a user types them."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.servers import free_port
from windlass import App
from windlass.cli.main import run
from windlass.core.schedules import held
from windlass.engine.client import Client
from windlass.engine.scheduler import Scheduler
from windlass.model.schedules import SchedulePlan, ScheduleRow
from windlass.portal import drive
from windlass.stores.sqlite import SqliteStore

APP = """
from windlass import App, Schedule, cron, every

app = App("sqlite:///here.db")


@app.task(name="clean", schedule=cron("30 2 * * *", tz="Europe/Berlin"))
async def clean() -> None: ...


@app.task(
    name="report",
    queue="reports",
    schedule=[
        Schedule(every(0.1), name="report.eu", arguments={"region": "eu"}),
        Schedule(
            cron("0 9 * * 1-5", tz="America/New_York"),
            name="report.us",
            arguments={"region": "us"},
            window=True,
            tags=["daily"],
        ),
    ],
)
async def report(region: str, copies: int = 1) -> None: ...
"""
NEW_CODE = """
from windlass import App, Schedule, cron

app = App("sqlite:///here.db", queues=["default", "reports"])


@app.task(name="clean")
async def clean() -> None: ...


@app.task(name="reports", queue="reports")
async def reports(region: str) -> None: ...
"""
STORE = ("--store", "sqlite:///here.db")
WAIT_S = 20.0


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with an app, to which the test changes."""
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "coming.py").write_text(NEW_CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in [name for name in os.environ if name.startswith("WINDLASS_")]:
        monkeypatch.delenv(name)
    yield tmp_path
    for module in ("shop", "coming"):
        sys.modules.pop(module, None)


def answer(capsys: pytest.CaptureFixture[str], *command: str, code: int = 0) -> Any:
    """Run a command with --json and return the document it prints."""
    assert run([*command, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def told(capsys: pytest.CaptureFixture[str], *command: str, code: int = 0) -> str:
    """Run a command and return what it prints for people."""
    assert run(command) == code
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *command: str, code: int) -> str:
    """Run a command and return what it says on stderr."""
    assert run(command) == code
    return capsys.readouterr().err


def app_of(module: str = "shop") -> App:
    found: App = import_module(module).app
    return found


def sync() -> None:
    """Store the schedules of the code, as the start of a scheduler does."""
    app = app_of()
    app.schedules.sync()
    app.close()


def schedule(until: Callable[[Client], Any]) -> None:
    """Run a scheduler until something is there."""

    async def act() -> None:
        app = app_of()
        ready: asyncio.Future[Scheduler] = asyncio.get_running_loop().create_future()
        async with app.session() as client:
            running = asyncio.create_task(app.run_scheduler(on_ready=ready.set_result))
            scheduler = await ready
            async with asyncio.timeout(WAIT_S):
                while not await until(client):
                    await asyncio.sleep(0.02)
            scheduler.stop()
            await running

    asyncio.run(act())


def edit(name: str, change: Callable[[ScheduleRow], ScheduleRow]) -> None:
    """Write a schedule as nobody else would."""

    async def act() -> None:
        store = SqliteStore("here.db")
        await store.open()
        [row] = (await store.schedules.find([name])).rows
        assert await store.schedules.save([SchedulePlan(change(row))]) == [True]
        await store.close()

    drive(act())


def add(*options: str, name: str = "extra", task: str = "clean") -> tuple[str, ...]:
    return ("schedules", "add", "shop:app", name, task, *options)


# -- looking -----------------------------------------------------------------


def test_schedules_are_listed_with_when_they_fire_and_who_makes_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert told(capsys, "schedules", "list", *STORE) == "no schedules\n"
    sync()
    found = answer(capsys, "schedules", "list", *STORE)
    text = told(capsys, "schedules", "list", *STORE)

    assert [row["name"] for row in found] == ["clean", "report.eu", "report.us"]
    assert found[2]["call"]["arguments"] == {"region": "us"}
    assert found[2]["rule"]["trigger"]["zone"] == "America/New_York"
    assert found[0]["when"] in text
    assert "no scheduler leads, so nothing fires" in text


def test_a_list_is_narrowed_by_tag_and_status_and_goes_on_after_a_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sync()
    run(["schedules", "pause", "clean", *STORE])
    capsys.readouterr()

    def names(*options: str) -> list[str]:
        return [row["name"] for row in answer(capsys, "schedules", "list", *options, *STORE)]

    assert names("--tag", "daily", "--limit", "1") == ["report.us"]
    assert names("--status", "paused") == ["clean"]
    assert names("--limit", "1") == ["clean"]
    assert names("--after", "clean") == ["report.eu", "report.us"]


def test_show_says_when_what_and_under_which_policy(capsys: pytest.CaptureFixture[str]) -> None:
    sync()
    text = told(capsys, "schedules", "show", "report.us", *STORE)

    for words in ('{"region":"us"}', "all, at most 10", "beside its task, version 1", "daily"):
        assert words in text
    assert "no outcomes yet" in text
    assert answer(capsys, "schedules", "show", "report.us", *STORE)["fires"] == []


def test_each_outcome_is_listed_with_its_job_or_its_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def has_both(client: Client) -> bool:
        return len(await client.schedules.fires("report.eu")) > 2

    schedule(has_both)
    found = answer(capsys, "schedules", "fires", "report.eu", *STORE)
    started = found[-1]
    before = ("--before", found[1]["fire_at"])
    older = answer(capsys, "schedules", "fires", "report.eu", *before, *STORE)
    text = told(capsys, "schedules", "fires", "report.eu", *STORE)

    assert started["job_id"]
    assert found[0]["reason"] == "overlap"
    assert older == found[2:]
    assert "overlap: the job of an earlier tick was live" in text
    assert started["job_id"] in text
    assert started["job_id"] in told(capsys, "schedules", "show", "report.eu", *STORE)


def test_outcomes_stay_when_their_schedule_is_removed(capsys: pytest.CaptureFixture[str]) -> None:
    async def has_one(client: Client) -> bool:
        return bool(await client.schedules.fires("report.eu"))

    schedule(has_one)
    told(capsys, "schedules", "remove", "report.eu", *STORE)

    assert answer(capsys, "schedules", "fires", "report.eu", *STORE)
    assert run(["schedules", "show", "report.eu", *STORE]) == 1


# -- preview -----------------------------------------------------------------

SPRING = ("--from", "2027-03-27", "--to", "2027-03-30")
BERLIN = ("--cron", "30 2 * * *", "--tz", "Europe/Berlin")


def test_a_preview_shows_the_next_ticks_and_their_windows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sync()
    found = answer(capsys, "schedules", "preview", "report.us", "-n", "3", *STORE)
    text = told(capsys, "schedules", "preview", "report.us", *STORE)

    assert len(found) == 3
    assert [tick["since"] for tick in found[1:]] == [tick["at"] for tick in found[:-1]]
    assert "in America/New_York" in text
    assert text.count("09:00:00 E") == 10
    assert " starts " not in text, "it has no jitter"


def test_a_tick_in_the_place_of_one_that_the_clock_leapt_over_has_a_note(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sync()
    found = answer(capsys, "schedules", "preview", *BERLIN, *SPRING)
    same = answer(capsys, "schedules", "preview", "clean", *SPRING, *STORE)
    text = told(capsys, "schedules", "preview", *BERLIN, *SPRING)

    assert found == same
    assert [tick["case"] for tick in found] == [None, "gap", None]
    assert found[1]["local"] == "2027-03-28T03:00:00+02:00"
    assert "Sun 2027-03-28 03:00:00 CEST" in text
    assert "moved: the clock leaps from 02:00 to 03:00" in text


def test_ticks_of_an_hour_that_comes_twice_say_which_of_the_two(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = answer(
        capsys,
        *("schedules", "preview", "--cron", "*/30 1 * * *", "--tz", "America/New_York"),
        *("--from", "2026-11-01", "--to", "2026-11-02"),
    )

    twice = "of two: the clock shows 01:00 to 02:00 twice"
    assert [tick["note"] for tick in found] == [f"first {twice}"] * 2 + [f"second {twice}"] * 2


def test_days_without_an_offset_are_those_of_the_zone(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--cron", "@hourly", "--tz", "Asia/Tokyo", "--from", "2027-01-01", "-n", "1")
    [first] = answer(capsys, "schedules", "preview", *options)

    assert first["local"] == "2027-01-01T00:00:00+09:00"


def test_a_preview_of_intervals_and_of_instants(capsys: pytest.CaptureFixture[str]) -> None:
    intervals = answer(capsys, "schedules", "preview", "--every", "90", "-n", "3")
    [at] = answer(capsys, "schedules", "preview", "--at", "2099-01-01T08:00+01:00")
    instants = [datetime.fromisoformat(tick["at"]) for tick in intervals]

    assert [b - a for a, b in pairwise(instants)] == [timedelta(seconds=90)] * 2
    assert at["at"] == "2099-01-01T07:00:00Z"
    assert told(capsys, "schedules", "preview", "--at", "2001-01-01T08:00Z").endswith("no ticks\n")


def test_a_calendar_shows_the_days_of_a_month_and_marks_the_unusual_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    march = ("--from", "2027-03-01", "--to", "2027-04-01", "--calendar")
    text = told(capsys, "schedules", "preview", *BERLIN, *march)
    days = answer(capsys, "schedules", "preview", *BERLIN, *march)

    assert "March 2027 by the clock of Europe/Berlin: 31 ticks" in text
    assert "28 03:00*" in text
    assert "* Sun 2027-03-28: moved: the clock leaps from 02:00 to 03:00" in text
    assert len(days) == 31
    assert days[27] == {
        "date": "2027-03-28",
        "ticks": 1,
        "times": ["03:00"],
        "notes": {"moved: the clock leaps from 02:00 to 03:00": 1},
    }


def test_a_calendar_of_many_ticks_counts_them_for_two_months(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ("--cron", "*/30 * * * *", "--tz", "America/New_York", "--from", "2026-11-01")
    text = told(capsys, "schedules", "preview", *options, "--calendar")

    assert "1 50x*" in text
    assert "30 48x" in text
    assert "first of two: the clock shows 01:00 to 02:00 twice (2 ticks)" in text
    assert "December 2026" in text
    assert "January" not in text


def test_what_is_cut_off_a_long_range_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("windlass.cli.preview.RANGE_MAX", 100)
    options = ("--every", "60", "--to", "2099-01-01")

    assert run(["schedules", "preview", *options, "--json"]) == 0
    told = capsys.readouterr()
    assert len(json.loads(told.out)) == 100
    assert "only the first 100 ticks are shown" in told.err
    assert run(["schedules", "preview", *options, "-n", "3"]) == 0
    assert capsys.readouterr().err == ""


# -- acting ------------------------------------------------------------------


def test_a_schedule_is_made_with_all_of_its_policy_and_made_anew(
    capsys: pytest.CaptureFixture[str],
) -> None:
    policy = ("--overlap", "queue", "--catch-up", "all", "--catch-up-max", "3", "--grace", "90")
    bounds = ("--start", "2027-01-01", "--end", "2028-01-01", "--jitter", "2.5")
    more = ("--pause-after", "4", "--tag", "a", "--tag", "b", "--window")
    arguments = ("--arguments", '{"region": "x"}')
    command = add("--cron", "0 6 * * *", *arguments, *policy, *bounds, *more, task="report")
    first = answer(capsys, *command)
    again = answer(capsys, *command)
    second = told(capsys, *add("--every", "60", "--grace", "none"))

    assert (first["version"], again["revision"]) == (1, first["revision"])
    assert first["rule"] == {
        "trigger": {"type": "cron", "expression": "0 6 * * *"},
        "start_at": "2027-01-01T00:00:00Z",
        "end_at": "2028-01-01T00:00:00Z",
        "jitter_s": 2.5,
        "window": True,
        "catch_up": "all",
        "catch_up_max": 3,
        "grace_s": 90.0,
        "overlap": "queue",
        "pause_after": 4,
        "tags": ["a", "b"],
    }
    assert second.startswith("extra version 2: the next tick is at 20")
    assert "however late" in told(capsys, "schedules", "show", "extra", *STORE)


def test_a_schedule_whose_instants_are_over_says_so_when_it_is_made(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = told(capsys, *add("--at", "2001-01-01T00:00Z"))

    assert text == "extra version 1: its trigger has no further tick\n"
    assert answer(capsys, "schedules", "why", "extra", *STORE)["cause"] == "ended"


def test_pause_why_resume_and_remove(capsys: pytest.CaptureFixture[str]) -> None:
    sync()
    assert told(capsys, "schedules", "pause", "clean", "report.us", "--why", "moving", *STORE) == (
        "clean paused\nreport.us paused\n"
    )
    paused = answer(capsys, "schedules", "why", "clean", *STORE)
    assert paused == {
        "cause": "paused",
        "because": "it is paused: moving",
        "way_on": "windlass schedules resume clean",
    }
    assert told(capsys, "schedules", "resume", "clean", *STORE) == "clean active\n"
    assert told(capsys, "schedules", "remove", "clean", *STORE) == "clean removed\n"

    left = answer(capsys, "schedules", "list", *STORE)
    assert [(row["name"], row["status"]) for row in left] == [
        ("report.eu", "active"),
        ("report.us", "paused"),
    ]


def test_what_acts_answers_programs_too(capsys: pytest.CaptureFixture[str]) -> None:
    sync()
    paused = answer(capsys, "schedules", "pause", "clean", "--why", "moving", *STORE)
    resumed = answer(capsys, "schedules", "resume", "clean", *STORE)
    started = answer(capsys, "schedules", "start", "clean", *STORE)
    removed = answer(capsys, "schedules", "remove", "clean", *STORE)

    assert paused == [{"name": "clean", "status": "paused", "why": "moving"}]
    assert resumed == [{"name": "clean", "status": "active", "why": ""}]
    assert answer(capsys, "jobs", "show", started["id"], *STORE)["task"] == "clean"
    assert removed == [{"name": "clean", "status": "removed", "why": ""}]


def test_start_enqueues_the_job_of_a_schedule_now(capsys: pytest.CaptureFixture[str]) -> None:
    sync()
    job_id = told(capsys, "schedules", "start", "report.us", *STORE).strip()
    job = answer(capsys, "jobs", "show", job_id, *STORE)

    assert (job["task"], job["queue"], job["state"]) == ("report", "reports", "queued")
    assert answer(capsys, "schedules", "fires", "report.us", *STORE) == []


def test_a_held_schedule_says_why_and_is_tried_again_by_a_resume(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sync()
    edit("clean", lambda row: held(row, "no task 'clean' is registered"))
    because = told(capsys, "schedules", "why", "clean", *STORE)

    assert "it cannot fire: no task 'clean' is registered" in because
    assert "windlass schedules resume clean" in because
    assert "held: no task 'clean'" in told(capsys, "schedules", "show", "clean", *STORE)
    assert told(capsys, "schedules", "resume", "clean", *STORE) == "clean active\n"


def test_why_names_the_scheduler_that_lacks_and_the_job_that_is_in_the_way(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sync()
    never = answer(capsys, "schedules", "why", "clean", *STORE)
    whys: list[Any] = []

    async def overlaps(client: Client) -> bool:
        if not any(fire.reason for fire in await client.schedules.fires("report.eu")):
            return False
        row = await client.schedules.get("report.eu")
        whys.append(await client.schedules.why("report.eu"))
        assert row.last_job_id is not None
        await client.cancel(row.last_job_id)
        whys.append(await client.schedules.why("clean"))
        return True

    schedule(overlaps)
    gone = told(capsys, "schedules", "why", "clean", *STORE)

    assert (never["cause"], never["because"]) == (
        "no_scheduler",
        "no scheduler leads: none ever led",
    )
    assert whys[0].cause == "overlap"
    assert whys[0].way_on.startswith("windlass why 01")
    assert whys[1].cause == "not_due"
    assert "its next tick is at 20" in whys[1].because
    assert "is gone" in gone


def test_a_schedule_that_cannot_be_read_here_holds_up_no_list(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sync()
    newer = '{"trigger": {"type": "moon", "phase": "full"}, "tags": ["x"]}'
    edit("clean", lambda row: replace(row, rule=newer, revision=row.revision + 1))

    assert "(cannot be read here)" in told(capsys, "schedules", "list", *STORE)
    assert "(cannot be read here)" in told(capsys, "schedules", "show", "clean", *STORE)
    error = refused(capsys, "schedules", "preview", "clean", *STORE, code=2)
    assert "schedule 'clean' cannot be worked out here" in error
    assert "Traceback" not in error


# -- what goes wrong ---------------------------------------------------------

BAD_TRIGGERS: dict[str, tuple[tuple[str, ...], str]] = {
    "30 February": (("--cron", "0 0 30 2 *"), "no such day ever comes in Feb"),
    "a field out of range": (("--cron", "61 * * * *"), "minute (field 1 of 5)"),
    "four fields": (("--cron", "0 0 * *"), "5"),
    "no such zone": (("--cron", "0 0 * * *", "--tz", "Europe/Berln"), "'Europe/Berlin'"),
    "cron and every": (("--cron", "0 0 * * *", "--every", "3"), "give one of"),
    "no trigger": ((), "give one of"),
    "no interval": (("--every", "0"), "must be from 0.001"),
    "no number": (("--every", "soon"), "valid number"),
    "no instant": (("--at", "noon"), "ISO 8601"),
}


@pytest.mark.parametrize("case", BAD_TRIGGERS)
def test_a_wrong_trigger_is_refused_with_the_field_and_the_reason(
    case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options, words = BAD_TRIGGERS[case]

    assert words in refused(capsys, "schedules", "preview", *options, code=2)
    assert words in refused(capsys, *add(*options), code=2)


WRONG: dict[str, tuple[tuple[str, ...], int, str]] = {
    "a range from nowhen": (("preview", "--every", "3", "--from", "x"), 2, "option from = 'x'"),
    "a range to nowhen": (("preview", "--every", "3", "--to", "x"), 2, "option to = 'x'"),
    "a name and a trigger": (("preview", "clean", "--every", "3"), 2, "give one of"),
    "no ticks asked for": (("preview", "--every", "3", "-n", "0"), 2, "'-n'"),
    "fires before nowhen": (("fires", "clean", "--before", "x"), 2, "option before = 'x'"),
    "no such status": (("list", "--status", "asleep"), 2, "asleep"),
    "no task": (("add", "shop:app", "n", "claen", "--every", "9"), 2, "did you mean 'clean'?"),
    "no app": (("add", "shop:ap", "n", "clean", "--every", "9"), 2, "did you mean shop:app?"),
    "missing arguments": (("add", "shop:app", "n", "report", "--every", "9"), 2, "'region'"),
    "no object": (
        ("add", "shop:app", "n", "clean", "--every", "9", "--arguments", "[1]"), 2, "JSON object"
    ),
    "no such overlap": (
        ("add", "shop:app", "n", "clean", "--every", "9", "--overlap", "x"), 2, "'cancel_old'"
    ),
    "no such catch-up": (
        ("add", "shop:app", "n", "clean", "--every", "9", "--catch-up", "x"), 2, "'latest'"
    ),
    "no such grace": (
        ("add", "shop:app", "n", "clean", "--every", "9", "--grace", "x"), 2, "seconds, or none"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_told_with_its_exit_code(
    case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command, code, words = WRONG[case]

    assert words in refused(capsys, "schedules", *command, *STORE, code=code)


@pytest.mark.parametrize(
    "verb", ["show", "fires", "preview", "pause", "resume", "remove", "start", "why"]
)
def test_a_name_that_is_not_there_is_told_with_code_1(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "no schedule 'nope'" in refused(capsys, "schedules", verb, "nope", *STORE, code=1)


@pytest.mark.parametrize(
    "command",
    [
        ("list",),
        ("show", "x"),
        ("fires", "x"),
        ("preview", "x"),
        ("add", "shop:app", "x", "clean", "--every", "9"),
        ("pause", "x"),
        ("resume", "x"),
        ("remove", "x"),
        ("start", "x"),
        ("why", "x"),
    ],
)
def test_without_a_store_the_code_is_3(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"postgresql://u:secret@127.0.0.1:{free_port()}/x"

    assert "does not answer" in refused(capsys, "schedules", *command, "--store", url, code=3)


# -- check -------------------------------------------------------------------


def problems(capsys: pytest.CaptureFixture[str], target: str, code: int) -> tuple[Any, Any]:
    sys.modules.pop(target.split(":")[0], None)
    found = answer(capsys, "check", target, code=code)
    return found["problems"], [w for w in found["warnings"] if "schedule" in w]


def test_check_finds_nothing_wrong_with_schedules_that_fire(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sync()
    answer(capsys, *add("--every", "60"))

    assert problems(capsys, "shop:app", 0) == ([], [])


def test_check_reports_each_declared_schedule_that_cannot_be_stored(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    (folder / "shop.py").write_text(
        """
from windlass import App, Batch, Schedule, cron

app = App("sqlite:///here.db")
nightly = cron("0 3 * * *")


@app.task(name="a", schedule=nightly)
async def a(size: int) -> None: ...


@app.task(name="b", schedule=[nightly, nightly])
async def b() -> None: ...


@app.task(
    name="c",
    limits=[Batch(10, wait=1)],
    schedule=Schedule(nightly, overlap="queue", arguments={"items": []}),
)
async def c(items: list[int]) -> None: ...
"""
    )
    found, _ = problems(capsys, "shop:app", 1)

    assert len(found) == 3
    assert found[0].startswith("schedule 'a': argument 'size' of task 'a'")
    assert "another schedule has this name" in found[1]
    assert "one at a time" in found[2]


def test_check_reports_stored_schedules_that_would_not_fire_with_this_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sync()
    answer(capsys, *add("--every", "60"))
    found, warned = problems(capsys, "coming:app", 1)

    assert found == [
        f"the schedule '{name}' starts the task 'report', which this app has not (did you mean "
        "'reports'?): a scheduler of this code would hold it"
        for name in ("report.eu", "report.us")
    ]
    assert warned == [
        "the schedule 'clean' is not in the code any more: a scheduler of this code removes it"
    ]


def test_check_reports_stored_arguments_that_do_not_bind_any_more(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    answer(capsys, *add("--every", "60", "--arguments", '{"region": "x"}', task="report"))
    (folder / "coming.py").write_text(NEW_CODE.replace('"reports", q', '"report", q'))
    assert problems(capsys, "coming:app", 0)[0] == []
    typed = NEW_CODE.replace('"reports", q', '"report", q').replace("region: str", "region: int")
    (folder / "coming.py").write_text(typed + "# another size\n")
    [found] = problems(capsys, "coming:app", 1)[0]

    assert found.startswith("the schedule 'extra': argument 'region' of task 'report'")


def test_check_warns_of_held_schedules_and_of_tasks_of_other_apps(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    sync()
    edit("clean", lambda row: held(row, "no time zone data"))
    other = NEW_CODE.replace(', queues=["default", "reports"]', "")
    (folder / "coming.py").write_text(other.replace(', queue="reports"', ""))
    found, warned = problems(capsys, "coming:app", 0)

    assert found == []
    assert warned[0] == "the schedule 'clean' is held: no time zone data"
    assert any("'report.eu' starts the task 'report'" in each for each in warned)


def test_the_instants_of_a_list_are_in_utc(capsys: pytest.CaptureFixture[str]) -> None:
    sync()
    [row] = answer(capsys, "schedules", "list", "--limit", "1", *STORE)

    assert datetime.fromisoformat(row["next_at"]).tzinfo == UTC
