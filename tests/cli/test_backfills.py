"""``windlass backfills …``: dry run, start, list, jobs, cancel."""

import json
from pathlib import Path

import pytest

from windlass import App, cron
from windlass.cli.main import run

RANGE = ("--from", "2026-01-01", "--to", "2026-01-04")


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store with one daily schedule."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    app = App(url)

    @app.task(name="daily")
    def daily() -> None: ...

    app.migrate()
    app.schedules.put("daily", daily, cron("0 0 * * *"))
    app.close()
    return f"--store={url}"


def test_a_dry_run_shows_each_tick_and_does_nothing(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["backfills", "start", "daily", *RANGE, "--dry-run", store]) == 0
    shown = capsys.readouterr().out
    assert run(["backfills", "list", store]) == 0

    assert "2026-01-03 00:00:00.000Z" in shown
    assert shown.splitlines()[-2:] == ["3 missing", "nothing was done"]
    assert capsys.readouterr().out.strip() == "no backfills"


def test_a_backfill_is_started_listed_and_cancelled(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["backfills", "start", "daily", *RANGE, "--json", store]) == 0
    started = json.loads(capsys.readouterr().out)
    assert run(["backfills", "list", "--json", store]) == 0
    [listed] = json.loads(capsys.readouterr().out)
    assert run(["backfills", "jobs", started["id"], "--json", store]) == 0
    jobs = json.loads(capsys.readouterr().out)
    assert run(["backfills", "list", store]) == 0
    assert run(["backfills", "jobs", started["id"], store]) == 0
    capsys.readouterr()
    assert run(["backfills", "cancel", started["id"], store]) == 0

    assert [item["plan"] for item in started["items"]] == ["missing"] * 3
    assert (listed["id"], listed["jobs"]) == (started["id"], {"queued": 3})
    assert [job["fire_at"] for job in jobs] == [f"2026-01-0{n}T00:00:00Z" for n in (1, 2, 3)]
    assert capsys.readouterr().out.strip() == "3"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["start", "nobody", *RANGE], 1, "no schedule 'nobody'"),
        (["start", "daily", "--from", "x", "--to", "2026-01-04"], 2, "must be ISO 8601"),
        (["start", "daily", "--from", "2026-01-04", "--to", "2026-01-01"], 2, "later than"),
        (["start", "daily", *RANGE, "--order", "up"], 2, 'must be one of "oldest"'),
        (["start", "daily", *RANGE, "--parallelism", "0"], 2, "from 1 to 10,000"),
        (["cancel", "nobody's"], 1, "no backfill"),
    ],
)
def test_what_cannot_be_done_is_told_with_its_exit_code(
    store: str,
    arguments: list[str],
    code: int,
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["backfills", *arguments, store]) == code
    assert told in capsys.readouterr().err
