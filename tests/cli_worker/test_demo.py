"""``windlass demo``: the main job, on real input, with a kill."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from tests.cli_worker.commands import Site
from windlass.cli.demo import check, sources
from windlass.cli.demo_app import index_file
from windlass.model.jobs import Job, JobId, State

FILES = 150
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def make_job(number: int) -> Job:
    return Job(
        id=JobId(str(number)),
        task="index_file",
        queue="default",
        state=State.SUCCEEDED,
        reason=None,
        priority=0,
        attempt=1,
        failures=0,
        losses=0,
        fence=1,
        worker=None,
        payload=b"{}",
        result=b"%d" % number,
        error=None,
        error_type=None,
        unique_key=None,
        retry_of=None,
        created_at=NOW,
        due_at=NOW,
        expires_at=None,
        started_at=NOW,
        ended_at=NOW,
        resolved_at=None,
    )


def faults_of(*jobs: Job) -> list[str]:
    """Check two jobs, of which job N should have the result N."""
    ids = [JobId("1"), JobId("2")]
    return check(ids, {job.id: job for job in jobs}, [1, 2], lambda data: int(data or b"0"))


def test_the_demo_says_that_each_file_was_done_exactly_once(site: Site) -> None:
    demo = site.start("demo", "--folder", "here", "--limit", str(FILES))

    assert demo.process.wait(60) == 0, demo.output
    assert f"Each of the {FILES} files was done exactly once" in demo.output
    assert "killed with SIGKILL while it held" in demo.output
    assert "begun again after their worker was killed" in demo.output
    assert list((site.folder / "here").iterdir()) == [], "the demo left its folder behind"


def test_the_demo_keeps_its_store_if_asked(site: Site) -> None:
    demo = site.start("demo", "--folder", "here", "--keep", "--limit", "20")

    assert demo.process.wait(60) == 0, demo.output
    [store] = (site.folder / "here").glob("windlass-demo-*/demo.db")
    assert f"windlass jobs list --store sqlite:///{store}" in demo.output


def test_the_check_finds_nothing_wrong_where_nothing_is() -> None:
    rescued = msgspec.structs.replace(make_job(2), attempt=2, losses=1, fence=2)

    assert faults_of(make_job(1), rescued) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"state": State.FAILED}, "job 2 is failed"),
        ({"result": b"7"}, "job 2 has another result than the plain loop"),
        ({"attempt": 2}, "job 2 was begun 2 times, with 0 losses and 0 failures"),
        ({"failures": 1}, "job 2 was begun 1 times, with 0 losses and 1 failures"),
    ],
)
def test_the_check_finds_a_job_that_did_not_go_right(change: dict[str, object], fault: str) -> None:
    assert [fault] == faults_of(make_job(1), msgspec.structs.replace(make_job(2), **change))


def test_the_check_finds_jobs_too_few_and_too_many() -> None:
    few, many = faults_of(make_job(1)), faults_of(make_job(1), make_job(2), make_job(3))

    assert "2 files, but the store holds 1 jobs" in few
    assert "job 2 is missing from the store" in few
    assert many == ["2 files, but the store holds 3 jobs"]


def test_the_sources_are_the_standard_library_without_what_was_installed() -> None:
    found = sources()

    assert len(found) > 500
    assert not any("site-packages" in path.parts for path in found)


def test_a_file_that_does_not_parse_has_no_names_and_says_why(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text("class A:\n    def f(self): ...\nasync def g(): ...\n")
    bad.write_text("def (:\n")

    assert index_file(good).names == ("A", "g", "f")
    assert index_file(good).problem == ""
    assert (index_file(bad).lines, index_file(bad).names) == (1, ())
    assert index_file(bad).problem.startswith("SyntaxError: ")
