"""References to large results, and which blobs are still needed."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from windlass.config import Settings, load_settings, shown_settings
from windlass.core.references import (
    attempt_of,
    is_needed,
    is_reference,
    key_of,
    reference_frame,
    reference_in,
    space_of,
)
from windlass.core.serializers import check_serializer
from windlass.errors import BadOption, BadSetting
from windlass.model.blobs import Reference
from windlass.model.jobs import Finished, Job, JobId, State
from windlass.plugins import make_large_results

SPACE = space_of("sqlite:///jobs.db")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def frame(fence: int) -> bytes:
    return reference_frame(Reference(SPACE, fence, 300_000, "0" * 64))


def job(state: State, fence: int, result: bytes | None = None) -> Job:
    return Job(
        id=JobId("j"),
        task="t",
        queue="q",
        state=state,
        reason=None,
        priority=0,
        attempt=1,
        failures=0,
        losses=0,
        fence=fence,
        worker=None,
        payload=b"",
        result=result,
        error=None,
        error_type=None,
        unique_key=None,
        retry_of=None,
        created_at=NOW,
        due_at=NOW,
        expires_at=None,
        started_at=None,
        ended_at=None,
        resolved_at=None,
    )


def finished(result: bytes | None) -> Finished:
    return Finished(JobId("j"), "t", State.SUCCEEDED, None, result, None)


@pytest.mark.parametrize(
    ("needed", "found"),
    [
        (False, None),  # pruned or purged
        (True, job(State.RUNNING, 3)),  # its worker may settle it yet
        (False, job(State.RUNNING, 4)),  # another holder has won
        (True, job(State.RUNNING, 2)),  # the store was brought back from a copy
        (False, job(State.QUEUED, 3)),  # its worker was lost: the next claim has fence 4
        (False, job(State.SCHEDULED, 3)),
        (False, job(State.WAITING, 3)),
        (False, job(State.HELD, 4)),
        (True, job(State.SUCCEEDED, 3, frame(3))),
        (False, job(State.SUCCEEDED, 4, frame(4))),
        (False, job(State.SUCCEEDED, 3, None)),  # the result's time is over
        (False, job(State.SUCCEEDED, 3, b"7")),
        (True, finished(frame(3))),
        (False, finished(frame(4))),
        (False, finished(None)),
        (False, finished(b"7")),
        (True, finished(b"\0blob\0???")),  # nobody can say
    ],
)
def test_a_blob_is_needed_as_long_as_something_may_refer_to_it(needed: bool, found: Any) -> None:
    assert is_needed(3, found) is needed


def test_a_reference_comes_back_as_it_was() -> None:
    reference = Reference(SPACE, 7, 300_000, "ab" * 32)
    data = reference_frame(reference)

    assert is_reference(data)
    assert reference_in(data) == reference
    assert len(data) < 120
    assert attempt_of(key_of(SPACE, JobId("0198-ab"), 7)) == ("0198-ab", 7)


@pytest.mark.parametrize("data", [None, b"", b"7", b'"\0blob\0"', b"\0msgpack\0\x07"])
def test_what_is_no_reference_is_none(data: bytes | None) -> None:
    assert not is_reference(data)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'["../../etc",1,2,"x"]',
        b'["0123456789abcdef",-1,2,"x"]',
        b'["0123456789abcdef"]',
    ],
)
def test_a_frame_that_leads_astray_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        reference_in(b"\0blob\0" + body)


@pytest.mark.parametrize("key", ["a/b", f"{SPACE}/j", f"{SPACE}/j.x", f"{SPACE}/../j.1", "j.1"])
def test_what_others_keep_there_is_left_alone(key: str) -> None:
    assert attempt_of(key) is None


def test_no_serializer_takes_the_name_of_references() -> None:
    class Mine:
        name = "blob"

        def dumps(self, value: Any) -> bytes:
            return b""

        def loads(self, data: bytes) -> Any:
            return None

    with pytest.raises(BadOption, match="that of references"):
        check_serializer(Mine())


def test_stores_of_one_relative_name_have_a_space_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spaces = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        spaces.add(make_large_results(Settings(), "sqlite:///windlass.db").space)
    absolute = f"sqlite:///{tmp_path}/b/windlass.db"

    assert len(spaces) == 2
    assert make_large_results(Settings(), absolute).space in spaces


def test_the_place_is_shown_without_its_secrets() -> None:
    url = "s3://key:secret@bucket/p?secret_access_key=abc"
    told = shown_settings(Settings(large_results=url))["large_results"]

    assert told == "s3://key:***@bucket/p?***"
    with pytest.raises(BadSetting, match="must be a URL such as file:///var/lib/results"):
        load_settings({"large_results": "results"}, {}, Path("/nowhere"))
