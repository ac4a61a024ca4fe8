"""A run of a workflow without a store: what it has made is kept in a list, and ended by hand."""

import itertools
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from windlass.core.replay import TIMER, Ending, Recorded, Replay, Step, StepEnd, Suspended, step
from windlass.model.jobs import JobId, JobRequest

START = datetime(2024, 2, 29, 12, tzinfo=UTC)
_IDS = itertools.count()


def request(task: str, *arguments: Any) -> JobRequest:
    """Return a request for a call of a task."""
    payload = msgspec.json.encode(arguments)
    return JobRequest(id=JobId(f"job-{next(_IDS):06}"), task=task, queue="default", payload=payload)


def timer(due_at: datetime) -> JobRequest:
    """Return a request for a timer."""
    job_id = JobId(f"job-{next(_IDS):06}")
    return JobRequest(id=job_id, task=TIMER, queue="default", payload=b"", run_at=due_at)


def call(task: str, *arguments: Any) -> Step[Any]:
    """Return a step of the workflow in which this is called."""
    return step(request(task, *arguments))


class World:
    """One run: its journal, and the attempts at it."""

    def __init__(self, function: Callable[[], Coroutine[Any, Any, Any]], run: str = "run") -> None:
        self.function = function
        self.run = JobId(run)
        self.journal: list[Recorded] = []
        self.requests: dict[JobId, JobRequest] = {}
        self.now = START
        self.attempts = 0

    def attempt(self) -> Ending[Any]:
        """Run the function once more over the journal, and keep what it makes."""
        self.attempts += 1
        ending = Replay(self.run, START, self.journal, timer).run(self.function)
        if isinstance(ending, Suspended):
            self._make(ending)
        self._keep(ending.turns)
        return ending

    def suspend(self) -> Suspended:
        """Run it once more; it must be suspended, and its code must be as it was."""
        ending = self.attempt()
        assert isinstance(ending, Suspended)
        assert ending.unreached == ()
        return ending

    def _make(self, ending: Suspended) -> None:
        for new in ending.new:
            assert new.step is not None
            assert new.step.run == self.run
            key = (new.step.name, new.step.nth)
            assert key not in self.keys, "a step is made once"
            self.requests[new.id] = new
            self.journal.append(Recorded(*key, new.step.print, new.id))

    def _keep(self, turns: Mapping[JobId, int]) -> None:
        for n, each in enumerate(self.journal):
            if (turn := turns.get(each.job_id)) is not None:
                assert each.ended is not None
                assert each.ended.turn is None
                self.journal[n] = replace(each, ended=replace(each.ended, turn=turn))

    @property
    def keys(self) -> list[tuple[str, int]]:
        """The keys of all that was made, in that order."""
        return [(each.name, each.nth) for each in self.journal]

    @property
    def names(self) -> list[str]:
        """The names of all that was made."""
        return [each.name for each in self.journal]

    def live(self) -> list[JobId]:
        """Return the jobs that have not ended."""
        return [each.job_id for each in self.journal if each.ended is None]

    def end(
        self,
        name: str,
        value: Any = None,
        nth: int = 0,
        after_s: float = 1.0,
        raises: Exception | None = None,
    ) -> None:
        """End a step; ``after_s`` after the one that was ended before it."""
        self.now += timedelta(seconds=after_s)
        place = self.keys.index((name, nth))
        assert self.journal[place].ended is None
        ended = StepEnd(self.now, partial(_raise, raises) if raises else lambda: value)
        self.journal[place] = replace(self.journal[place], ended=ended)


def _raise(error: Exception) -> None:
    raise error
