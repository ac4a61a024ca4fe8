"""What the clock on the wall of a zone shows, read minute by minute of real time."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from windlass.core.zones import zone_info

MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400
FIRST_S, LAST_S = 0, int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())
MARGIN_S = 8 * HOUR_S


def shown(utc_s: int, tz: ZoneInfo) -> datetime:
    """Return what the clock shows."""
    return datetime.fromtimestamp(utc_s, tz).replace(tzinfo=None, fold=0)


def ahead_s(utc_s: int, tz: ZoneInfo) -> int:
    """Return what the clock is ahead of UTC."""
    offset = datetime.fromtimestamp(utc_s, tz).utcoffset()
    assert offset is not None
    return round(offset.total_seconds())


def jumps(tz: ZoneInfo, start_s: int = FIRST_S, end_s: int = LAST_S) -> Iterator[int]:
    """Yield each instant from which the clock is ahead by something else, day by day."""
    before = ahead_s(start_s, tz)
    for day_s in range(start_s, end_s, DAY_S):
        after = ahead_s(day_s + DAY_S, tz)
        if after == before:
            continue
        low, high = day_s, day_s + DAY_S
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if ahead_s(middle, tz) == before else (low, middle)
        yield high
        before = after


@dataclass(frozen=True)
class Reading:
    """What the clock showed at each step of some hours.

    inner_s: from and to: so far from both ends that each time which comes twice does so within.
    hours:   date and hour, to the times that were shown, each with its instants.
    leaps:   (instant, times that were left out just before it).
    """

    zone: str
    step_s: int
    inner_s: tuple[int, int]
    hours: dict[tuple[date, int], dict[datetime, list[int]]]
    leaps: list[tuple[int, list[datetime]]]


def read(name: str, around_s: int, *, seconds: bool = False) -> Reading:
    """Walk through the hours around an instant."""
    tz = zone_info(name)  # the same version of the law; the rest is read here
    before, after = ahead_s(around_s - 1, tz), ahead_s(around_s, tz)
    jump_s = abs(after - before)
    step_s = 1 if seconds or before % MINUTE_S or after % MINUTE_S else MINUTE_S
    margin_s = 2 * HOUR_S if seconds else MARGIN_S
    around_s -= around_s % step_s
    start_s, end_s = around_s - margin_s - 2 * jump_s, around_s + margin_s + 2 * jump_s
    step = timedelta(seconds=step_s)
    hours: dict[tuple[date, int], dict[datetime, list[int]]] = {}
    leaps: list[tuple[int, list[datetime]]] = []
    last = shown(start_s - step_s, tz)
    for now_s in range(start_s, end_s, step_s):
        now = shown(now_s, tz)
        hours.setdefault((now.date(), now.hour), {}).setdefault(now, []).append(now_s)
        if now - last > step:
            leaps.append((now_s, [last + n * step for n in range(1, (now - last) // step)]))
        last = now
    inner_s = (start_s + jump_s + step_s, end_s - jump_s - step_s)
    return Reading(name, step_s, inner_s, hours, leaps)
