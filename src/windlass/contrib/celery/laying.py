"""From signatures to jobs: which jobs there are, for which each waits, and what it is given.

A whole composition is laid out first and stored in one piece.  Here the result of the job before
becomes the first positional argument, as Celery has it, and stands before those given already.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace as with_

from windlass import JobId, NotEncodable
from windlass.contrib.celery.calls import ALL_ARGS, ALL_KWARGS
from windlass.contrib.celery.exceptions import refuse
from windlass.contrib.celery.giving import given
from windlass.contrib.celery.options import CallOptions, call_options
from windlass.contrib.celery.request import HEADER, OWN_HEADERS
from windlass.contrib.celery.result import AsyncResult, GroupResult, Result, first_of
from windlass.contrib.celery.signature import Signature, maybe_signature
from windlass.contrib.celery.values import to_plain
from windlass.model.jobs import Edge, JobRequest

COLLECT = "celery.collect"  # a job that returns the list which it is given


@dataclass(frozen=True, slots=True)
class Before:
    """What comes before a job: other jobs, whose result or list of results it is given.

    known: in place of jobs, a value that is there already: that of an empty group.
    group: the id of the group whose results make the list.
    """

    ends: tuple[str, ...]
    is_list: bool = False
    known: list[Any] | None = None
    group: str | None = None


class Layout:
    """The jobs of one signature, parents before children, and the results to be.

    root, parent: the ids of the job that began it all, and of the one within which this happens.
    new_id: makes the ids that nobody has chosen; default: those of the app.
    """

    def __init__(
        self,
        app: Any,
        root: str | None = None,
        parent: str | None = None,
        new_id: Callable[[], JobId] | None = None,
    ) -> None:
        self._app, self._new_id = app, new_id or app.windlass_app.new_job_id
        self._root, self._parent = root, parent
        self.requests: list[JobRequest] = []
        self.own_ids: list[JobId] = []  # those that the caller has chosen
        self._roots: dict[str, str] = {}

    def lay(self, sig: Any, before: Before | None = None, group: str | None = None) -> Result:
        """Add the jobs of a signature; return its result to be.

        Raises: TypeError, for arguments that do not fit; NotSupported, NotEncodable, ….
        """
        made = maybe_signature(sig)
        if not isinstance(made, Signature):
            raise TypeError(f"{sig!r} is no signature: use task.s(…)")
        whole: Any = made
        if whole.options and whole.subtask_type is not None:
            whole = given(whole.replace(options={}), (), {}, whole.options)
        match whole.subtask_type:
            case "chain":
                return self._lay_chain(whole, before, group)
            case "group":
                return self._lay_group(whole, before)
            case "chord":
                header = self._lay_group(whole.header(), before)
                body = self.lay(whole.body, self._end(header), group)
                first_of(body).parent = header
                return body
            case _:
                return self._lay_task(whole, before, group)

    def _lay_chain(self, whole: Any, before: Before | None, group: str | None) -> Result:
        result: Result | None = None
        steps = whole.steps()
        for n, step in enumerate(steps):
            if step.subtask_type == "group" and not step.tasks and len(steps) > 1:
                continue  # an empty one among others is passed over
            is_last = n == len(steps) - 1
            laid = self.lay(step, before, group if is_last else None)
            if result is not None:
                first_of(laid).parent = result
            result, before = laid, self._end(laid) if not is_last else None
        if result is None:
            refuse("result of an empty chain", "call it only where it has steps")
        return result

    def _lay_group(self, whole: Any, before: Before | None) -> GroupResult:
        group_id = whole.get("group_id") or self._new_id()
        results = [self.lay(each, before, group_id) for each in whole.members()]
        if len(results) == 1 and isinstance(results[0], GroupResult):
            return results[0]  # of one chain that ends in a group
        return GroupResult(group_id, results, app=self._app)

    def _end(self, result: Result) -> Before:
        """Return what the next job waits for and is given."""
        if isinstance(result, AsyncResult):
            return Before((result.id,))
        if not result.results:
            return Before((), known=[])
        ends = []
        for each in result.results:
            if isinstance(each, AsyncResult):
                ends.append(each.id)
            else:  # the list of a group within the group is one value
                collected = self.lay(Signature(COLLECT, app=self._app), self._end(each))
                ends.append(collected.id)
        return Before(tuple(ends), is_list=True, group=result.id)

    def ends_of(self, result: Result) -> tuple[JobId, ...]:
        """Return the jobs that give the value of a result.  Raises: NotSupported, for none."""
        if not self.requests:
            refuse("replace by an empty group", "return []")
        return tuple(map(JobId, self._end(result).ends))

    # -- one job -------------------------------------------------------------

    def _lay_task(self, sig: Signature, before: Before | None, group: str | None) -> AsyncResult:
        conf = self._app.conf
        args, kwargs = sig.args, sig.kwargs
        if before is not None and not before.ends:
            args, before = (args if sig.immutable else (before.known, *args)), None
        task = self._app.tasks.get(sig.task)
        defaults = conf.options_of(sig.task, task)
        options = call_options({**defaults, **sig.options}, conf)
        if options.errbacks and before is not None and before.is_list:
            refuse("link_error of the body of a chord", "link_error of the tasks in its header")
        facts = self._facts(options, before, group)
        if task is None:
            request = self._unknown(sig.task, args, kwargs, options, before)
        elif before is None:
            named, count = task.shape.named(args, kwargs)
            request = task.windlass_task.using(**options.using()).prepare(**_plain(sig.task, named))
            facts |= {} if count is None else {"args": count}
        else:
            request = self._after(task, sig, options, before, facts)
        job_id = JobId(options.task_id or self._new_id())
        self._roots[job_id] = facts.get("root") or job_id
        if options.task_id:
            self.own_ids.append(job_id)
        headers = {HEADER: json.dumps(facts)} if facts else {}
        if options.headers:
            headers[OWN_HEADERS] = options.headers
        self.requests.append(with_(request, id=job_id).with_headers(headers) if headers
                             else with_(request, id=job_id))  # fmt: skip
        result = AsyncResult(job_id, app=self._app)
        result.ignored = options.ignore_result or (task is not None and task.ignores_result)
        self._lay_links(options, job_id)
        return result

    def _facts(
        self, options: CallOptions, before: Before | None, group: str | None
    ) -> dict[str, Any]:
        facts = {
            "root": self._root or (self._roots.get(before.ends[0]) if before else None),
            "parent": before.ends[-1] if before else self._parent,
            "group": group or (before.group if before else None),
            "chord": True if before and before.is_list else None,
            "errbacks": [to_plain(dict(_errback(each))) for each in options.errbacks],
        }
        return {name: value for name, value in facts.items() if value}

    def _lay_links(self, options: CallOptions, job_id: str) -> None:
        for link in options.links:
            self.lay(link, Before((job_id,)))

    def _after(
        self,
        task: Any,
        sig: Signature,
        options: CallOptions,
        before: Before,
        facts: dict[str, Any],
    ) -> JobRequest:
        """Return the request of a job that waits for others; note what Windlass does not know."""
        slot = None if sig.immutable else task.shape.slot
        named, count = task.shape.named(sig.args, sig.kwargs, after=not sig.immutable)
        if count is not None:
            facts["args"] = count
        if options.delay_s:
            facts["countdown"], options.delay_s = options.delay_s, None
        if isinstance(options.expires, int | float):
            refuse(
                "expires=seconds of a task that waits for others", "an instant: expires=datetime"
            )
        edges = _edges(before, slot)
        bound: JobRequest = task.windlass_task.using(**options.using()).prepare_after(
            edges, slot, (), _plain(sig.task, named)
        )
        return bound

    def _unknown(
        self,
        name: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: CallOptions,
        before: Before | None,
    ) -> JobRequest:
        """Return the request of a call of a task that only the workers know."""
        if before is not None:
            refuse(f"task {name!r} in a composition without its definition", "import its module")
        call = _plain(name, {ALL_ARGS: list(args), ALL_KWARGS: dict(kwargs)})
        windlass_app = self._app.windlass_app
        expires = options.expires
        return JobRequest(
            id=windlass_app.new_job_id(),
            task=name,
            queue=options.queue or self._app.conf.task_default_queue,
            payload=json.dumps(call).encode(),
            priority=options.priority or 0,
            delay_s=options.delay_s or 0.0,
            run_at=options.eta,
            expires_s=None if expires is None or not isinstance(expires, int | float) else expires,
            expires_at=None if isinstance(expires, int | float) else expires,
        )


def _errback(given: Any) -> Signature:
    made = maybe_signature(given)
    if not isinstance(made, Signature):
        raise TypeError(f"{given!r} is no signature: use task.s(…)")
    return made


def _edges(before: Before, slot: str | None) -> tuple[Edge, ...]:
    if before.is_list:
        return tuple(Edge(JobId(end), slot, n) for n, end in enumerate(before.ends))
    return (Edge(JobId(before.ends[0]), slot, None),)


def _plain(task: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments as they travel.  Raises: NotEncodable."""
    plain = {}
    for name, value in arguments.items():
        try:
            plain[name] = to_plain(value)
        except (TypeError, RecursionError) as error:
            raise NotEncodable(task, name, str(error)) from error
    return plain
