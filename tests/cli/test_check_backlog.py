"""``windlass check`` as the gate of a deploy: live jobs must fit the code that comes."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from windlass import App
from windlass.cli.main import run
from windlass.model.jobs import JobRequest

KEY = "a key of enough characters, truly random"
NEW_CODE = """
from dataclasses import dataclass

from windlass import App

app = App("sqlite:///here.db")


@dataclass
class Line:
    price: float


@app.task(name="bill")
async def bill(customer: str, lines: list[Line]) -> None: ...


@app.task(name="mail")
async def mail(to: str, subject: str = "hi") -> None: ...
"""
UPCASTER = """

@bill.upcaster
def price_each(arguments):
    lines = [line if isinstance(line, dict) else {"price": line} for line in arguments["lines"]]
    return {**arguments, "lines": lines}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the new code, to which the test changes."""
    (tmp_path / "coming.py").write_text(NEW_CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in [name for name in os.environ if name.startswith("WINDLASS_")]:
        monkeypatch.delenv(name)
    yield tmp_path
    sys.modules.pop("coming", None)


def check(capsys: pytest.CaptureFixture[str], code: int) -> Any:
    """Run the check and return the document it prints."""
    sys.modules.pop("coming", None)
    assert run(["check", "coming:app", "--json"]) == code
    return json.loads(capsys.readouterr().out)


async def _bill(customer: str, lines: list[float]) -> None: ...
async def _mail(to: str) -> None: ...


def old_app() -> App:
    app = App("sqlite:///here.db")
    app.task(name="bill")(_bill)
    app.task(name="mail")(_mail)
    return app


def store(*requests: JobRequest) -> None:
    app = old_app()
    app.enqueue_many(requests)
    app.close()


def request(task: str, payload: bytes, **more: Any) -> JobRequest:
    plain = {"id": old_app().new_job_id(), "task": task, "queue": "default", "payload": payload}
    return JobRequest(**(plain | more))


def test_jobs_of_the_same_code_pass(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib import import_module

    coming = import_module("coming")
    coming.app.enqueue_many([coming.mail.prepare("a"), coming.bill.prepare("a", [])])
    coming.app.close()
    # Of this very code, so it is not looked at.
    fingerprint = coming.mail.spec.signature.fingerprint
    store(request("mail", b"{}", fingerprint=fingerprint))

    assert check(capsys, 0)["misfits"] == []


def test_jobs_of_other_code_pass_if_they_fit(capsys: pytest.CaptureFixture[str]) -> None:
    old = old_app()
    requests = [old.task_named("mail").prepare("a"), old.task_named("bill").prepare("a", [])]
    store(*requests, request("mail", b'{"to":"b"}'))

    assert check(capsys, 0)["misfits"] == []


def test_jobs_that_would_not_bind_stop_the_deploy_with_task_field_and_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    task = old_app().task_named("bill")
    requests = [task.prepare("a", [1.5, 2.5]), task.prepare("b", [3.5]), task.prepare("c", [])]
    store(*requests, task.using(delay=60).prepare("d", [1.0]))
    [misfit] = check(capsys, 1)["misfits"]

    assert misfit == {
        "task": "bill",
        "queue": "default",
        "jobs": 4,
        "looked_at": 4,
        "unfit": 3,
        "field": "lines[0]",
        "reason": "Expected `object`, got `float`",
        "sample": requests[0].id,
    }
    sys.modules.pop("coming")
    assert run(["check", "coming:app"]) == 1
    told = capsys.readouterr().out
    assert "lines[0]" in told
    assert "3 of 4" in told


def test_an_upcaster_lets_them_pass_and_a_broken_one_does_not(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    store(old_app().task_named("bill").prepare("a", [1.5]))
    (folder / "coming.py").write_text(NEW_CODE + UPCASTER)
    assert check(capsys, 0)["misfits"] == []
    (folder / "coming.py").write_text(NEW_CODE + UPCASTER.replace('"lines"]]', '"line"]]'))
    [misfit] = check(capsys, 1)["misfits"]

    assert (misfit["field"], misfit["reason"]) == (None, "KeyError: 'line'")


def test_a_task_that_is_gone_stops_the_deploy_where_this_app_serves_its_queue(
    capsys: pytest.CaptureFixture[str],
) -> None:
    store(request("mial", b"{}"), request("elsewhere", b"{}", queue="of another app"))
    found = check(capsys, 1)

    assert [(m["task"], m["jobs"], m["reason"]) for m in found["misfits"]] == [
        ("mial", 1, "the app has no such task; did you mean 'mail'?")
    ]
    assert any("'elsewhere' wait in the queue 'of another app'" in w for w in found["warnings"])


def test_ended_jobs_do_not_stop_a_deploy(capsys: pytest.CaptureFixture[str]) -> None:
    store(request("bill", b"[]"))
    app = old_app()
    [job] = app.blocking(lambda client: client.jobs())
    app.job(job.id).cancel()
    app.close()

    assert check(capsys, 0)["misfits"] == []


def test_of_many_jobs_a_thousand_of_each_group_are_looked_at(
    capsys: pytest.CaptureFixture[str],
) -> None:
    store(*(request("mail", b'{"to":%d}' % n) for n in range(1_150)))
    [misfit] = check(capsys, 1)["misfits"]

    assert (misfit["jobs"], misfit["looked_at"], misfit["unfit"]) == (1_150, 1_000, 1_000)
    assert (misfit["field"], misfit["reason"]) == ("to", "Expected `str`, got `int`")


def test_without_an_app_only_the_store_is_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    store(request("gone", b"{}"))

    assert run(["check", "--store", "sqlite:///here.db"]) == 0


def test_the_key_is_masked_and_its_lack_is_a_problem(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pickled = NEW_CODE.replace('name="mail"', 'name="mail", serializer="pickle"')
    (folder / "coming.py").write_text(pickled)
    [problem] = check(capsys, 1)["problems"]
    monkeypatch.setenv("WINDLASS_PICKLE_KEY", KEY)
    found = check(capsys, 0)
    [setting] = [s for s in found["settings"] if s["setting"] == "pickle_key"]

    assert "'mail' has serializer=\"pickle\"" in problem
    assert setting == {"setting": "pickle_key", "value": "***", "source": "WINDLASS_PICKLE_KEY"}
    assert KEY not in json.dumps(found)


def test_arguments_in_any_format_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    framed = {
        b"\0msgpack\0\x81\xa2to\xa1a": {"to": "a"},
        b"\0yaml\0to: a": "(5 bytes of yaml)",
        b"\0pickle\0" + b"x" * 40: "(40 bytes of pickle)",
        b"\0\xff": "\0�",
    }
    shown = []
    for payload in framed:
        job = request("mail", payload)
        store(job)
        assert run(["jobs", "show", job.id, "--store", "sqlite:///here.db", "--json"]) == 0
        shown.append(json.loads(capsys.readouterr().out)["arguments"])

    assert shown == list(framed.values())
