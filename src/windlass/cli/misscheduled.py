"""Which stored schedules could not fire with this code: what ``windlass check`` tells of them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from windlass.core.names import nearest
from windlass.core.schedules import CODE
from windlass.core.tasks import TaskSpec
from windlass.core.ticks import ScheduleFault, call_of, rule_of
from windlass.engine.client import Client
from windlass.errors import BadArguments
from windlass.model.jobs import JobRequest
from windlass.model.schedules import ScheduleRow, Status


@dataclass(slots=True)
class Findings:
    """What stops a deploy, and what is only to be known."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


async def misscheduled(
    client: Client,
    specs: Mapping[str, TaskSpec],
    declared: Collection[str],
    served: Collection[str],
) -> Findings:
    """Look at each stored schedule as a scheduler of this code would.

    declared: names of the schedules in the code; they replace the stored ones.
    served:   the app's queues.  A task that is unknown here is a problem only where the job would
              stand in one of them: else another app may know it.
    """
    found = Findings()
    async for row in client.schedules.each():
        if row.status is Status.ENDED:
            continue
        call = call_of(row)
        spec = specs.get(call.task)
        if row.status is Status.HELD:
            found.warnings.append(f"the schedule {row.name!r} is held: {row.why}")
        if row.name in declared:
            continue
        if spec is None:
            worse = found.problems if call.queue in served else found.warnings
            worse.append(_unknown(row, call, specs))
        elif row.origin == CODE:
            why = "is not in the code any more: a scheduler of this code removes it"
            found.warnings.append(f"the schedule {row.name!r} {why}")
        elif (fault := _fault(row, call, spec)) is not None:
            found.problems.append(f"the schedule {row.name!r}: {fault}")
    return found


def _unknown(row: ScheduleRow, call: JobRequest, specs: Mapping[str, TaskSpec]) -> str:
    near = nearest(call.task, specs)
    hint = f" (did you mean {near!r}?)" if near else ""
    return (
        f"the schedule {row.name!r} starts the task {call.task!r}, which this app has not{hint}: "
        "a scheduler of this code would hold it"
    )


def _fault(row: ScheduleRow, call: JobRequest, spec: TaskSpec) -> str | None:
    try:
        rule_of(row)
    except ScheduleFault as error:
        return str(error)
    if call.fingerprint == spec.signature.fingerprint:
        return None
    try:
        spec.signature.decode(call.payload, call.fingerprint)
    except BadArguments as error:
        return str(error)
    except Exception as error:  # of an upcaster too
        return f"{type(error).__name__}: {error}"
    return None
