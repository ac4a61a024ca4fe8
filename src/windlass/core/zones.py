"""Time zones: where their data comes from, and what each one's clock does when.

The one place that reads zone data.  A zone's clock runs evenly but for *jumps*: forward (a gap:
times that never come) or backward (an overlap: times that come twice).
"""

import re
import zoneinfo
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from importlib import import_module, resources
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from windlass.core.names import nearest
from windlass.errors import BadOption, UnknownZone, ZoneDataMissing

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DAY_S: Final = 86_400
EARLIEST_S: Final = -2_208_988_800  # 1900-01-01: nothing is due before it
LATEST_S: Final = 250_000_000_000  # the year 9892: nothing is due after it

ZONES_MAX = 1_024
CHUNKS_MAX = 1_024
_CHUNK_BITS = 24  # 2^24 s: 194 days are read at once
_MARGIN_S = 2 * DAY_S  # longer than any jump: each one near a chunk's border is seen from it
_STEP_S = 1 << 18  # 3 days; the closest jumps of any zone are 6.9 days apart
_NAME = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*", re.ASCII)


class Stretch(NamedTuple):
    """A span of UTC seconds ``[start_s, end_s)`` in which the offset stays the same.

    stop_s:       where to ask again; not after ``end_s``.
    jump_in_s:    what the clock leapt by at the start; below zero: it went back.
    jump_out_s:   the same, at the end.
    """

    start_s: int
    end_s: int
    stop_s: int
    offset_s: int
    jump_in_s: int
    jump_out_s: int


class Zone:
    """The jumps of one time zone, read as they are needed.

    Cost: about 60 µs for each half year that is asked about for the first time.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._info = zone_info(name)
        self._chunks: dict[int, tuple[Stretch, ...]] = {}

    def stretch(self, utc_s: int) -> Stretch:
        """Return the stretch that holds this second."""
        chunk = utc_s >> _CHUNK_BITS
        stretches = self._chunks.get(chunk)
        if stretches is None:
            if len(self._chunks) >= CHUNKS_MAX:
                self._chunks.clear()
            stretches = self._chunks[chunk] = self._read(chunk)
        for stretch in stretches:
            if utc_s < stretch.end_s:
                return stretch
        raise AssertionError("a chunk reaches beyond its border")

    def offset_s(self, utc_s: int) -> int:
        """Return what the clock is ahead of UTC."""
        offset = datetime.fromtimestamp(utc_s, self._info).utcoffset()
        assert offset is not None
        return offset.days * DAY_S + offset.seconds

    def _read(self, chunk: int) -> tuple[Stretch, ...]:
        begin_s, stop_s = chunk << _CHUNK_BITS, (chunk + 1) << _CHUNK_BITS
        jumps = self._jumps(begin_s - _MARGIN_S, stop_s + _MARGIN_S)
        edges = [(begin_s - _MARGIN_S, 0), *jumps, (stop_s + _MARGIN_S, 0)]
        offset_s = self.offset_s(begin_s - _MARGIN_S)
        stretches = []
        for (start_s, jump_in_s), (end_s, jump_out_s) in pairwise(edges):
            offset_s += jump_in_s
            ask_s = min(end_s, stop_s)
            stretches.append(Stretch(start_s, end_s, ask_s, offset_s, jump_in_s, jump_out_s))
        return tuple(stretches)

    def _jumps(self, start_s: int, end_s: int) -> list[tuple[int, int]]:
        jumps = []
        before_s, before = start_s, self.offset_s(start_s)
        while before_s < end_s:
            after_s = min(before_s + _STEP_S, end_s)
            after = self.offset_s(after_s)
            if after != before:
                jumps.append((self._instant(before_s, after_s, after), after - before))
            before_s, before = after_s, after
        return jumps

    def _instant(self, low_s: int, high_s: int, after: int) -> int:
        while high_s - low_s > 1:
            middle_s = (low_s + high_s) // 2
            if self.offset_s(middle_s) == after:
                high_s = middle_s
            else:
                low_s = middle_s
        return high_s


@lru_cache(ZONES_MAX)
def zone_of(name: str) -> Zone:
    """Return the zone of this IANA name.  Raises: UnknownZone, ZoneDataMissing."""
    return Zone(name)


def zone_name(tz: object) -> str:
    """Return the name of a zone given by name or as a ZoneInfo, once it is known to exist."""
    name = tz.key if isinstance(tz, ZoneInfo) else "UTC" if tz is UTC else tz
    if not isinstance(name, str):
        raise BadOption("tz", tz, "must be the name of a time zone, such as 'Europe/Berlin'")
    return zone_of(name).name


@cache
def zone_data_version() -> str:
    """Return the version of the zone data in use, such as ``2026a``; "" if it is not known."""
    return _package_version() if _package_is_newer() else _system_version()


def second_of(instant: datetime) -> int:
    """Return the whole seconds of an aware instant since 1970, rounded down."""
    since = instant - EPOCH
    return since.days * DAY_S + since.seconds


def instant_of(utc_s: int) -> datetime:
    """Return the aware instant of a number of seconds since 1970."""
    return EPOCH + timedelta(seconds=utc_s)


# -- where the data comes from -----------------------------------------------


def zone_info(name: str) -> ZoneInfo:
    """Return a zone's data, the package's where it is not older than the system's.

    Raises: UnknownZone, ZoneDataMissing.
    """
    if _NAME.fullmatch(name) is None:
        raise UnknownZone(name, _near(name))
    if _package_is_newer():
        try:
            with (
                resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file
            ):
                return ZoneInfo.from_file(file, key=name)
        except (OSError, ValueError):
            pass  # a name that only the system knows
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        if not zoneinfo.available_timezones():
            raise ZoneDataMissing(name) from None
        raise UnknownZone(name, _near(name)) from None


def _near(name: str) -> str | None:
    known = {zone.lower(): zone for zone in zoneinfo.available_timezones()}
    cities = {zone.rpartition("/")[2].lower(): zone for zone in known.values()}
    low = name.lower().replace(" ", "_")
    if near := known.get(low) or cities.get(low):
        return near
    found = nearest(low, known)
    return known[found] if found else None


@cache
def _package_is_newer() -> bool:
    """Tell whether the package's data is to be used: it is there, and not older."""
    version = _package_version()
    return version != "" and version >= _system_version()


def _package_version() -> str:
    try:
        return str(import_module("tzdata").IANA_VERSION)
    except ImportError:
        return ""


def _system_version() -> str:
    for folder in map(Path, zoneinfo.TZPATH):
        for name, pattern in (("tzdata.zi", r"# version (\w+)"), ("+VERSION", r"(\w+)")):
            try:
                with (folder / name).open(encoding="utf-8") as file:
                    found = re.match(pattern, file.readline(100))
            except (OSError, UnicodeDecodeError):
                continue
            if found is not None:
                return found[1]
    return ""
