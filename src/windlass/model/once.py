"""How calls that are repeated become one job: the rule of a request, with its key."""

from typing import Literal

import msgspec


class Once(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A rule with the key already worked out.  Durations in microseconds.

    name, key:  which mark it goes by.
    kind:       started: the earlier one stands until it starts; period: for ``wait_us``;
                trailing: the last call of a quiet time; leading: the first; throttle: the first
                at once, and then the last of each ``wait_us``.
    most_us:    for trailing: the first call waits no longer than this; None: no limit.
    """

    name: str
    key: str
    kind: Literal["started", "period", "trailing", "leading", "throttle"]
    wait_us: int = 0
    most_us: int | None = None
