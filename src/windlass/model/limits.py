"""Limits as the store keeps them: the lane of a job, with the keys already worked out.

A lane is the line of all queued jobs of one queue that stand under the same limits with the
same keys: any of them may start in place of any other.  A job without limits is in no lane.
"""

import hashlib

import msgspec

from windlass.model.jobs import JobId

LANE_ID_BYTES = 8


class Cap(msgspec.Struct, frozen=True, array_like=True):
    """At most ``most`` attempts at once, among all jobs that name the same cap and key."""

    name: str
    key: str
    most: int


class Pace(msgspec.Struct, frozen=True, array_like=True):
    """A start each ``interval_us``, after up to ``burst`` at once (a token bucket)."""

    name: str
    key: str
    interval_us: int
    burst: int


class Together(msgspec.Struct, frozen=True, array_like=True):
    """Jobs of one lane run in one call: ``size`` of them, or what there is after ``wait_us``."""

    size: int
    wait_us: int


class Limits(msgspec.Struct, frozen=True, omit_defaults=True):
    """Under what a job may start.

    shares: keys among which the slots are dealt in turns, and nothing else.
    """

    caps: tuple[Cap, ...] = ()
    paces: tuple[Pace, ...] = ()
    shares: tuple[str, ...] = ()
    together: Together | None = None

    @property
    def size(self) -> int:
        """How many jobs one attempt takes at most."""
        return 1 if self.together is None else self.together.size

    def encode(self) -> str:
        """Return the text that the store keeps; the same for equal limits."""
        return msgspec.json.encode(self).decode()


class Lane(msgspec.Struct, frozen=True):
    """A job's lane: its name, and its limits as the store keeps them."""

    id: str
    limits: str


class PaceState(msgspec.Struct, frozen=True):
    """How far a pace is used up: the instant at which the bucket would be full again."""

    name: str
    key: str
    full_at_us: int


class Holder(msgspec.Struct, frozen=True):
    """What one limit of a job lets through, and who has it now.

    most:   attempts at once; None for a pace.
    wait_s: until a pace lets the next one start; None for a cap.
    """

    name: str
    key: str
    most: int | None
    running: tuple[JobId, ...] = ()
    wait_s: float | None = None


def lane_of(limits: Limits) -> Lane:
    """Return the lane of these limits.  Pure."""
    encoded = limits.encode()
    digest = hashlib.blake2b(encoded.encode(), digest_size=LANE_ID_BYTES)
    return Lane(digest.hexdigest(), encoded)


_decoder = msgspec.json.Decoder(Limits)


def decode_limits(encoded: str) -> Limits:
    """Return what :meth:`Limits.encode` made."""
    return _decoder.decode(encoded)
