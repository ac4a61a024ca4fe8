"""The commands that look and act, as a user types them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import free_port
from windlass import App
from windlass.cli.failures import EXIT_CODES
from windlass.cli.main import run
from windlass.core.lifecycle import after_attempt, encode_error
from windlass.model.jobs import Reason, State, WorkerId
from windlass.model.outcomes import ErrorInfo, Succeeded, Transition
from windlass.model.progress import ProgressReport
from windlass.model.workers import WorkerInfo
from windlass.portal import drive
from windlass.stores.sqlite import SqliteStore
from windlass.stores.sqlite.migrations import NEWEST

APP = """
from windlass import App

app = App("sqlite:///here.db")


@app.task(name="mail", queue="mail")
async def mail(to: str, subject: str = "hi") -> int:
    return len(to)


number = 3
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with an app, to which the test changes."""
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "broken.py").write_text("import no_such_module_here\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in [name for name in os.environ if name.startswith("WINDLASS_")]:
        monkeypatch.delenv(name)
    yield tmp_path
    for module in ("shop", "broken"):
        sys.modules.pop(module, None)


STORE = ("--store", "sqlite:///here.db")


def answer(capsys: pytest.CaptureFixture[str], *command: str, code: int = 0) -> Any:
    """Run a command with --json and return the document it prints."""
    assert run([*command, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def say_one(message: str) -> str:
    """Put one succeeded job into the store which said how far it was."""

    async def act() -> str:
        store = SqliteStore("here.db")
        await store.open()
        spec = App("sqlite:///here.db").task(name="mail")(_mail)
        [job_id] = await store.enqueue([spec.prepare("a@b")])
        info = WorkerInfo(id=WorkerId("w"), host="h", pid=1, queues=("default",), slots=1)
        await store.renew(info, 60)
        [claim] = await store.claim(info.id, ["default"], 1)
        await store.report_progress([ProgressReport(job_id, claim.fence, 0.4, message)])
        await store.settle([after_attempt(claim, Succeeded(None), None)])
        await store.close()
        return job_id

    return drive(act())


def fail_one(error_type: str = "shop.Oops") -> str:
    """Put one failed job into the store, as a worker would."""

    async def act() -> str:
        store = SqliteStore("here.db")
        await store.open()
        app = App("sqlite:///here.db")
        spec = app.task(name="mail")(_mail)
        [job_id] = await store.enqueue([spec.prepare("a@b")])
        info = WorkerInfo(id=WorkerId("w"), host="h", pid=1, queues=("default",), slots=1)
        await store.renew(info, 60)
        [claim] = await store.claim(info.id, ["default"], 1)
        error = encode_error(ErrorInfo(type=error_type, message="oops", traceback="Traceback …"))
        step = Transition(
            job_id=claim.job_id,
            fence=claim.fence,
            before=State.RUNNING,
            after=State.FAILED,
            attempt=1,
            failures=1,
            reason=Reason.ERROR,
            error=error,
            error_type=error_type,
        )
        await store.settle([step])
        await store.close()
        return job_id

    return drive(act())


def _mail(to: str) -> None:
    """Stand for a task."""


# -- what goes wrong ---------------------------------------------------------

WRONG: dict[str, tuple[list[str], int, str]] = {
    "no such module": (["worker", "nowhere:app"], 2, "No module named 'nowhere'"),
    "no such attribute": (["worker", "shop:ap"], 2, "did you mean shop:app?"),
    "an attribute that is no app": (["check", "shop:number"], 2, "is a int, not an App"),
    "a target without a colon": (["worker", "shop"], 2, "module:attribute"),
    "a module that raises": (["worker", "broken:app"], 2, "import no_such_module_here"),
    "no such command": (["job"], 2, "No such command 'job'"),
    "no such option": (["migrate", "--stor", "x"], 2, "--stor"),
    "no such task": (["enqueue", "shop:app", "mali"], 2, "did you mean 'mail'?"),
    "arguments that are no JSON": (["enqueue", "shop:app", "mail", "{to}"], 2, "not JSON"),
    "arguments that are a number": (["enqueue", "shop:app", "mail", "3"], 2, "JSON object"),
    "a wrong argument": (["enqueue", "shop:app", "mail", '{"to": 1}'], 2, "argument 'to'"),
    "an unknown argument": (["enqueue", "shop:app", "mail", '{"to": "a", "too": "b"}'], 2, "'too'"),
    "a wrong priority": (
        ["enqueue", "shop:app", "mail", '["a"]', "--priority", "101"], 2, "from -100 to 100"
    ),
    "a wrong instant": (
        ["enqueue", "shop:app", "mail", '["a"]', "--run-at", "noon"], 2, "ISO 8601"
    ),
    "no such scheme": (["migrate", "--store", "mysql://x"], 2, "'mysql'"),
    "a store URL without a file": (["migrate", "--store", "sqlite://"], 2, "names no file"),
    "a folder that is not there": (["migrate", "--store", "sqlite:///no/x.db"], 2, "no folder"),
    "a file that is no database": (["migrate", "--store", "sqlite:///shop.py"], 2, "is damaged"),
    "a job that is not there": (["jobs", "show", "nope"], 1, "no job 'nope'"),
    "why a job that is not there": (["why", "nope"], 1, "no job 'nope'"),
    "a retry of nothing": (["jobs", "retry"], 2, "at least one job"),
    "no such state": (["jobs", "list", "--state", "sleeping"], 2, "sleeping"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_told_with_its_exit_code(
    case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command, code, words = WRONG[case]
    store = () if command[0] in ("worker", "enqueue", "migrate", "check", "job") else STORE

    assert run([*command, *store]) == code
    told = capsys.readouterr().err
    assert words in told
    assert code in EXIT_CODES


def test_a_store_that_does_not_answer_has_an_exit_code_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = f"postgresql://u:secret@127.0.0.1:{free_port()}/x"

    assert run(["jobs", "list", "--store", url]) == 3
    told = capsys.readouterr().err
    assert "does not answer" in told
    assert "secret" not in told


def test_a_missing_extra_is_named_with_the_way_to_get_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)

    assert run(["jobs", "list", "--store", "postgresql://u@127.0.0.1/x"]) == 2
    assert "pip install 'windlass[postgres]'" in capsys.readouterr().err


def test_for_programs_a_mistake_is_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["enqueue", "shop:app", "mail", '{"to": 1}', "--json"])
    told = json.loads(capsys.readouterr().err)

    assert code == 2
    assert told["error"]["type"] == "BadArguments"
    assert told["error"]["facts"]["field"] == "to"


def test_an_unknown_setting_in_the_environment_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINDLASS_LEASE", "3")

    assert run(["jobs", "list"]) == 2
    assert "did you mean 'WINDLASS_LEASE_S'?" in capsys.readouterr().err


# -- what works --------------------------------------------------------------


def test_a_job_can_be_enqueued_listed_shown_and_cancelled(
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = answer(capsys, "enqueue", "shop:app", "mail", '{"to": "a@b"}', "--priority", "5")
    [listed] = answer(capsys, "jobs", "list", *STORE)
    shown = answer(capsys, "jobs", "show", made["id"], *STORE)
    [cancelled] = answer(capsys, "jobs", "cancel", made["id"], *STORE)

    assert listed["id"] == made["id"]
    assert (shown["arguments"], shown["priority"]) == ({"to": "a@b"}, 5)
    assert cancelled == {"id": made["id"], "state": "cancelled"}
    assert answer(capsys, "jobs", "counts", *STORE) == [
        {"queue": "mail", "state": "cancelled", "count": 1}
    ]


def test_why_names_the_cause_and_the_way_on(capsys: pytest.CaptureFixture[str]) -> None:
    made = answer(capsys, "enqueue", "shop:app", "mail", '["a@b"]')

    told = answer(capsys, "why", made["id"], *STORE)
    assert told["cause"] == "no_worker"
    assert run(["why", made["id"], *STORE]) == 0
    assert "way on   start one: windlass worker" in capsys.readouterr().out


def test_people_get_whole_ids_even_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["enqueue", "shop:app", "mail", '["a@b"]']) == 0
    job_id = capsys.readouterr().out.strip()
    assert run(["jobs", "list", *STORE]) == 0

    assert job_id in capsys.readouterr().out


def test_dead_letters_are_grouped_retried_and_discarded(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second, third = fail_one(), fail_one(), fail_one("shop.Other")
    groups = answer(capsys, "jobs", "dead", *STORE)
    [retried] = answer(capsys, "jobs", "retry", first, *STORE)
    [discarded] = answer(
        capsys, "jobs", "discard", "--all", "--task", "mail", "--error", "shop.Oops", *STORE
    )
    [again] = answer(capsys, "jobs", "discard", second, *STORE, code=1)
    new = answer(capsys, "jobs", "show", retried["new"], *STORE)

    assert [(g["error_type"], g["count"]) for g in groups] == [("shop.Oops", 2), ("shop.Other", 1)]
    assert discarded["id"] == second
    assert "only a failed job is a dead letter" in again["error"]
    assert new["retry_of"] == first
    assert [g["sample"] for g in answer(capsys, "jobs", "dead", *STORE)] == [third]


def test_a_failed_job_shows_its_remote_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    job_id = fail_one()

    assert run(["jobs", "show", job_id, *STORE]) == 0
    assert "Traceback …" in capsys.readouterr().out


def test_check_prints_each_setting_with_its_source(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINDLASS_CONCURRENCY", "7")
    found = answer(capsys, "check", "shop:app")
    sources = {setting["setting"]: setting for setting in found["settings"]}

    assert sources["concurrency"]["value"] == 7
    assert sources["concurrency"]["source"] == "WINDLASS_CONCURRENCY"
    assert sources["store"]["source"] == "argument"
    assert [task["task"] for task in found["tasks"]] == ["mail"]


def test_check_warns_of_jobs_that_nobody_serves(capsys: pytest.CaptureFixture[str]) -> None:
    answer(capsys, "enqueue", "shop:app", "mail", '["a@b"]')
    found = answer(capsys, "check", "shop:app")

    assert found["warnings"] == ["no live worker serves the queue 'mail', in which 1 jobs wait"]


def test_migrate_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    first = answer(capsys, "migrate", "--store", "sqlite:///new.db")

    assert first["applied"] == list(range(1, NEWEST + 1))
    assert run(["migrate", "--store", "sqlite:///new.db"]) == 0
    assert "up to date" in capsys.readouterr().out


def test_a_reader_that_goes_away_gets_no_traceback() -> None:
    for _ in range(30):
        fail_one()
    command = f"{sys.executable} -m windlass jobs list --store sqlite:///here.db | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)

    assert "Traceback" not in done.stderr


# -- what operators do -------------------------------------------------------


def enqueue_one(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    found: str = answer(capsys, "enqueue", "shop:app", "mail", '{"to":"a"}', *options)["id"]
    return found


def test_pause_and_resume(capsys: pytest.CaptureFixture[str]) -> None:
    hold = answer(capsys, "pause", "--task", "mail", "--why", "no paper", "--for", "60", *STORE)
    [listed] = answer(capsys, "holds", *STORE)

    assert (listed["id"], listed["task"], listed["why"]) == (hold["id"], "mail", "no paper")
    assert (listed["reason"], listed["actor"]) == ("paused", "cli")
    assert run(["holds", *STORE]) == 0
    assert "no paper" in capsys.readouterr().out
    assert run(["resume", hold["id"], *STORE]) == 0
    assert run(["resume", hold["id"], *STORE]) == 1
    assert "no hold" in capsys.readouterr().err


def test_quarantine_by_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    hold = answer(capsys, "quarantine", "--arguments", '{"to":"a"}', *STORE)

    assert (hold["reason"], hold["arguments"]) == ("quarantined", {"to": "a"})
    assert run(["quarantine", "--arguments", "[1]", *STORE]) == 2
    assert run(["pause", *STORE]) == 2
    assert "say what to hold" in capsys.readouterr().err


def test_many_jobs_are_cancelled_rescheduled_and_purged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second = enqueue_one(capsys), enqueue_one(capsys, "--delay", "3600")

    assert answer(capsys, "jobs", "reschedule", second, *STORE) == [
        {"id": second, "state": "queued"}
    ]
    everything = ("--all", "--queue", "mail", *STORE)
    assert answer(capsys, "jobs", "reschedule", "--delay", "9", *everything) == {"rescheduled": 2}
    assert answer(capsys, "jobs", "cancel", *everything) == {"cancelled": 2}
    assert answer(capsys, "jobs", "reschedule", first, *STORE, code=1)[0]["error"]
    assert answer(capsys, "jobs", "purge", "--state", "cancelled", *STORE) == {"deleted": 2}
    assert answer(capsys, "jobs", "list", *STORE) == []
    assert run(["jobs", "cancel", first, "--all", *STORE]) == 2


def test_workers_are_listed_and_drained(capsys: pytest.CaptureFixture[str]) -> None:
    enqueue_one(capsys)
    store = SqliteStore("here.db")
    drive(store.open())
    worker = WorkerInfo(id=WorkerId("w1"), host="h", pid=1, queues=("mail",), slots=2)
    drive(store.renew(worker, 60.0))

    assert [w["id"] for w in answer(capsys, "workers", "list", *STORE)] == ["w1"]
    assert run(["workers", "list", *STORE]) == 0
    assert run(["workers", "drain", "w1", *STORE]) == 0
    assert drive(store.renew(worker, 60.0)).drains
    assert run(["workers", "drain", "w2", *STORE]) == 1
    drive(store.close())


def test_top_shows_queues_and_workers(capsys: pytest.CaptureFixture[str]) -> None:
    enqueue_one(capsys)
    run(["pause", "--queue", "mail", "--why", "no paper", *STORE])
    capsys.readouterr()

    assert run(["top", "--once", *STORE]) == 0
    out = capsys.readouterr().out
    assert "mail" in out
    assert "no paper" in out
    told = answer(capsys, "top", *STORE)
    assert told["counts"] == [{"queue": "mail", "state": "queued", "count": 1}]
    assert told["workers"] == told["running"] == []


def test_progress_is_shown_and_watched(capsys: pytest.CaptureFixture[str]) -> None:
    job = say_one("two of five")
    assert answer(capsys, "jobs", "show", job, *STORE)["progress"]["fraction"] == 0.4
    assert run(["jobs", "watch", job, *STORE]) == 0
    assert capsys.readouterr().out == "  40.0%  two of five\nsucceeded\n"
    assert run(["jobs", "watch", job, *STORE, "--json"]) == 0
    progress, end = map(json.loads, capsys.readouterr().out.splitlines())
    assert (progress["message"], end) == ("two of five", {"state": "succeeded"})
    assert run(["jobs", "watch", fail_one(), *STORE]) == 1
    assert capsys.readouterr().out == "failed\n"

    assert run(["jobs", "watch", "nothing", *STORE]) == 1
