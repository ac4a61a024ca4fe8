"""What a worker and its child process say to each other: typed frames on a socket pair.

A frame is four bytes of length, big-endian, and one tagged struct in MessagePack.
The worker says ``Hello``, hears ``Ready`` or ``StartFailed``, then says ``Start`` and
hears ``Ended``, once per attempt, with any number of ``Progressed`` before it.  Plain data
in both directions: nothing is unpickled, but for payloads and results of tasks which ask
for it, and these are signed.
"""

import struct
from datetime import datetime

import msgspec

from windlass.model.jobs import Claim
from windlass.model.outcomes import ErrorInfo, Outcome

HEAD = struct.Struct(">I")


class Hello(msgspec.Struct, frozen=True, tag=True):
    """The app to load: ``module:attribute`` or ``path.py:attribute``, and where to look.

    format_name: what the app writes where a task says nothing.
    result_limit_bytes: of the encoded result of an attempt.
    pickle_key:  signs what goes between this worker and its children, and nothing else.
    store_url:   of the worker, without its password: the app there is to have the same;
                 None for any.
    """

    app_target: str
    sys_path: list[str]
    format_name: str
    result_limit_bytes: int
    pickle_key: str
    store_url: str | None


class Start(msgspec.Struct, frozen=True, tag=True):
    """Run this attempt; at the deadline it is killed."""

    claim: Claim
    deadline: datetime | None = None


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The app is loaded."""


class StartFailed(msgspec.Struct, frozen=True, tag=True):
    """The app could not be loaded; the child ends."""

    error: ErrorInfo


class Ended(msgspec.Struct, frozen=True, tag=True):
    """The attempt came to its end."""

    outcome: Outcome


class Progressed(msgspec.Struct, frozen=True, tag=True):
    """The attempt says how far it is."""

    fraction: float
    message: str


ToChild = Hello | Start
FromChild = Ready | StartFailed | Progressed | Ended


def pack(frame: ToChild | FromChild) -> bytes:
    """Return a frame's bytes, length first."""
    body = msgspec.msgpack.encode(frame)
    return HEAD.pack(len(body)) + body


to_child: msgspec.msgpack.Decoder[ToChild] = msgspec.msgpack.Decoder(ToChild)
from_child: msgspec.msgpack.Decoder[FromChild] = msgspec.msgpack.Decoder(FromChild)
