"""What jobs give to those that waited for them: arguments, or the result itself.  Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace as with_

from windlass.core.lifecycle import OWN_RESULT
from windlass.core.tasks import TaskSpec
from windlass.errors import ResultExpired
from windlass.model.jobs import Claim, Input

Specs = Mapping[str, TaskSpec]


def with_inputs(spec: TaskSpec, specs: Specs, claim: Claim, inputs: Sequence[Input]) -> Claim:
    """Return the claim with the results of the jobs for which it waited as arguments.

    Raises: BadArguments, where they do not fit; ResultExpired, where one is gone.
    """
    given: dict[str, Any] = {}
    for one in inputs:
        if one.slot is None:
            continue
        value = _value(spec, specs, one)
        if one.position is None:
            given[one.slot] = value
        else:
            given.setdefault(one.slot, []).append(value)
    if not given:
        return claim
    return with_(claim, payload=spec.signature.with_inputs(claim.payload, given))


def own_result(spec: TaskSpec, specs: Specs, inputs: Sequence[Input]) -> bytes | None:
    """Return the result of a job that was handed on, of those to which it was.

    Raises: NotEncodable, PayloadTooLarge; ResultExpired, where one is gone.
    """
    own = [one for one in inputs if one.slot == OWN_RESULT]
    values = [_value(spec, specs, one) for one in own]
    is_list = any(one.position is not None for one in own)
    return spec.result_of(values if is_list else values[0])


def _value(spec: TaskSpec, specs: Specs, one: Input) -> Any:
    if one.expired_at is not None:
        raise ResultExpired(one.parent, one.task, one.expired_at)
    giver = specs.get(one.task, spec)
    return giver.signature.plain_result(one.result)
