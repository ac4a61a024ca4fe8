"""Celery's brokers, as a drain reads them: messages are reserved, and then acked or put back."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

from windlass.contrib.celery.messages import Unfit
from windlass.errors import BadOption, MissingExtra

try:
    from amqp.exceptions import NotFound
    from kombu import Connection, Consumer, Queue
    from kombu.exceptions import SerializerNotInstalled
    from kombu.pidbox import Mailbox
    from kombu.serialization import prepare_accept_content
except ImportError as error:
    raise MissingExtra("celery", "kombu") from error

__all__ = [  # the one module that imports kombu
    "Connection",
    "Consumer",
    "Delivery",
    "Mailbox",
    "NotFound",
    "Open",
    "Queue",
    "Source",
    "content_types",
]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message that is reserved.

    place:   what the source needs in order to ack it or put it back.
    urgency: how much more urgent than others, as a priority of Windlass.
    is_small_first: whether to its broker a smaller number is the more urgent one.
    returns: how often it was put back before, where the broker counts that.
    message: as kombu has it; None where what lies in the queue is no message.
    """

    queue: str
    place: Any
    message: Any
    urgency: int = 0
    returns: int = 0
    is_small_first: bool = False

    @property
    def headers(self) -> Mapping[str, Any]:
        """Its headers."""
        headers: Mapping[str, Any] = getattr(self.message, "headers", None) or {}
        return headers

    @property
    def known_by(self) -> str:
        """What tells it from others, however often it comes."""
        if isinstance(task_id := self.headers.get("id"), str):
            return task_id
        raw: Any = getattr(self.message, "body", None) or getattr(self.place, "raw", b"")
        return sha256(raw.encode() if isinstance(raw, str) else raw).hexdigest()

    def body(self, accept: frozenset[str]) -> Any:
        """Return its body, decoded.   accept: the content types.   Raises: Unfit."""
        if self.message is None:
            raise Unfit("it is no message of kombu's")
        self.message.accept = accept
        try:
            if self.message.errors:
                raise self.message.errors[0][1]
            return self.message.decode()
        except Exception as error:  # of any decoder
            kind = getattr(self.message, "content_type", None)
            raise Unfit(f"its body ({kind}) is not decoded: {error}") from error


class Source(Protocol):
    """The queues of a broker over one connection, in one thread."""

    def reserve(self, limit: int) -> list[Delivery]:
        """Take up to ``limit`` messages out of everybody's sight; none: no more wait."""
        ...

    def keep(self, deliveries: Sequence[Delivery]) -> None:
        """Keep reserved messages out of everybody's sight for longer."""
        ...

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Delete reserved messages from the broker."""
        ...

    def put_back(self, deliveries: Sequence[Delivery]) -> None:
        """Give all reserved messages that are left back to their queues."""
        ...

    def reserved_by_others(self) -> int | None:
        """Return how many messages others have reserved; None where that cannot be known."""
        ...

    def beat(self) -> None:
        """Keep the connection alive."""
        ...


Open = Callable[[Sequence[str]], AbstractContextManager[Source]]


def content_types(accept: Sequence[str]) -> frozenset[str]:
    """Return the content types of kombu's serializers, by their names.  Raises: BadOption."""
    try:
        return frozenset(prepare_accept_content(accept))
    except SerializerNotInstalled as error:
        raise BadOption("accept", accept, str(error)) from error
