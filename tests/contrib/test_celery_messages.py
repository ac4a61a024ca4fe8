"""Celery's messages of protocols 1 and 2 as calls; what they cannot be, with the reason."""

from datetime import UTC, datetime
from typing import Any

import pytest

from windlass.contrib.celery.follow_ups import FollowUp, follow_ups_of
from windlass.contrib.celery.messages import Unfit, read_call

HEADERS = {"task": "shop.sell", "id": "7", "eta": None, "expires": None, "timelimit": [None, None]}
EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def signature(task: str, *args: Any, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "task": task,
        "args": list(args),
        "kwargs": {},
        "options": {},
        "subtask_type": None,
    }
    return {**made, "immutable": False, **more}


def test_a_message_of_protocol_2_is_a_call() -> None:
    facts = {"eta": "2026-11-21T18:00:00+01:00", "expires": "2026-11-22T00:00:00", "timelimit": [4]}

    call = read_call({**HEADERS, **facts}, [[1], {"b": 2}, EMBED])

    assert (call.id, call.task, call.args, call.kwargs) == ("7", "shop.sell", [1], {"b": 2})
    assert call.run_at == datetime(2026, 11, 21, 17, tzinfo=UTC)
    assert call.expires_at == datetime(2026, 11, 22, tzinfo=UTC)
    assert call.has_time_limit
    assert follow_ups_of(call) == ()


def test_a_message_of_protocol_1_is_a_call() -> None:
    body = {"task": "shop.sell", "id": "7", "args": [1], "kwargs": {}, "eta": "2026-11-21T18:00:00",
            "utc": True, "timelimit": [None, None], "callbacks": [signature("a")]}  # fmt: skip

    call = read_call({}, body)

    assert (call.id, call.task, call.args) == ("7", "shop.sell", [1])
    assert call.run_at == datetime(2026, 11, 21, 18, tzinfo=UTC)
    assert not call.has_time_limit
    assert [each.task for each in follow_ups_of(call)] == ["a"]


def test_links_and_chains_are_follow_ups_each_behind_what_it_waits_for() -> None:
    second = signature("b", 2, options={"queue": "other", "task_id": "8", "link": signature("l")})
    third = signature("c", immutable=True)
    embed = {**EMBED, "callbacks": [signature("a")], "chain": [third, second]}

    call = read_call(HEADERS, [[], {}, embed])

    linked, last = FollowUp("l", (), {}, True, ()), FollowUp("c", (), {}, False, ())
    assert follow_ups_of(call) == (
        FollowUp("a", (), {}, True, ()),
        FollowUp("b", (2,), {}, True, (linked, last)),
    )


@pytest.mark.parametrize(
    ("headers", "body", "why"),
    [
        ({}, ["?"], "no message of Celery's"),
        ({"task": "a"}, [[], {}, {}], "no id"),
        (HEADERS, {"args": []}, "not that of Celery's protocol 2"),
        (HEADERS, [[], {}, 7], "not that of Celery's protocol 2"),
        (HEADERS, [7, {}, {}], "no list and mapping"),
        ({**HEADERS, "eta": "soon"}, [[], {}, {}], "its ETA is no time: 'soon'"),
        ({}, {"task": "a", "id": "7", "eta": "2026-11-21T18:00:00", "utc": False}, "no time zone"),
        (HEADERS, [[], {}, {"chord": signature("a")}], "header of a chord"),
        (HEADERS, [[], {}, {"errbacks": [signature("a")]}], "error callback"),
        (HEADERS, [[], {}, {"chain": [signature("a", subtask_type="group")]}], "is a group"),
        (HEADERS, [[], {}, {"callbacks": [signature("a", options={"countdown": 3})]}], "countdown"),
        (HEADERS, [[], {}, {"callbacks": ["a"]}], "no signature"),
        (HEADERS, [[], {}, {"chain": [signature("a")] * 1001}], "more than 1,000 steps"),
    ],
)
def test_what_maps_to_no_jobs_is_unfit_for_a_reason(headers: Any, body: Any, why: str) -> None:
    with pytest.raises(Unfit, match=why):
        follow_ups_of(read_call(headers, body))
