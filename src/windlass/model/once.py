"""How calls that are repeated become one job: the rule of a request, with its key."""

from typing import Literal

import msgspec

KEY_PREFIX = "key:"  # of the names of marks which stay for as long as their jobs


class Once(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A rule with the key already worked out.  Durations in microseconds.

    name, key:  which mark it goes by.
    kind:       started: the earlier one stands until it starts; period: for ``wait_us``;
                trailing: the last call of a quiet time; leading: the first; throttle: the first
                at once, and then the last of each ``wait_us``; key: for as long as the store
                keeps the job, and only for a call with the same payload.
    most_us:    for trailing: the first call waits no longer than this; None: no limit.
    """

    name: str
    key: str
    kind: Literal["started", "period", "trailing", "leading", "throttle", "key"]
    wait_us: int = 0
    most_us: int | None = None


def once_by_key(task: str, key: str) -> Once:
    """Return the rule of an idempotency key."""
    return Once(name=f"{KEY_PREFIX}{task}", key=key, kind="key")
