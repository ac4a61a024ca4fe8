"""What an operator may ask for, checked.  Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from windlass.core.names import check_name
from windlass.core.retry import Delay, seconds_of
from windlass.core.serializers import decode_plain, encode_plain, unframed
from windlass.core.tasks import check_priority
from windlass.errors import BadOption, PickleRefused, UnknownSerializer
from windlass.model.holds import WHY_LENGTH_MAX, HoldId, HoldRequest
from windlass.model.jobs import JobRequest, Reason


@dataclass(frozen=True, slots=True)
class Changes:
    """What a retried job has different from the failed one; None leaves a field as it was.

    arguments: values by the names of parameters, over those that the job had.
    """

    queue: str | None = None
    priority: int | None = None
    arguments: Mapping[str, Any] | None = None

    def made_to(self, request: JobRequest) -> JobRequest:
        """Return the request with the changes.  Raises: BadOption."""
        changed: dict[str, Any] = {}
        if self.queue is not None:
            changed["queue"] = check_name("queue", self.queue)
        if self.priority is not None:
            changed["priority"] = check_priority(self.priority)
        if self.arguments is not None:
            changed["payload"] = _with_arguments(request.payload, self.arguments)
        return msgspec.structs.replace(request, **changed) if changed else request


def _with_arguments(payload: bytes, changes: Mapping[str, Any]) -> bytes:
    try:
        arguments = decode_plain(payload)
        if not isinstance(arguments, dict):
            raise ValueError("they are no object")
        return encode_plain(unframed(payload)[0], arguments | dict(changes))
    except (ValueError, TypeError, UnknownSerializer, PickleRefused) as error:
        raise BadOption("arguments", changes, f"cannot be put into the payload: {error}") from error


def hold_request(
    hold_id: HoldId,
    reason: Reason,
    actor: str,
    *,
    why: str,
    queue: str | None,
    task: str | None,
    key: str | None,
    arguments: Mapping[str, Any] | None,
    expires: Delay | None,
) -> HoldRequest:
    """Return the request for a hold.  Raises: BadOption."""
    if all(field is None for field in (queue, task, key, arguments)):
        raise BadOption("queue", queue, "say what to hold: a queue, task, key or arguments")
    if len(why) > WHY_LENGTH_MAX or not why.isprintable():
        raise BadOption("why", why, f"must be printable, up to {WHY_LENGTH_MAX} characters")
    if arguments is not None and not (isinstance(arguments, Mapping) and arguments):
        raise BadOption("arguments", arguments, "must be values by path: {'order.id': 7}")
    return HoldRequest(
        id=hold_id,
        reason=reason,
        actor=actor,
        why=why,
        queue=None if queue is None else check_name("queue", queue),
        task=None if task is None else check_name("task", task),
        key=key,
        arguments=arguments,
        expires_s=None if expires is None else seconds_of("expires", expires),
    )
