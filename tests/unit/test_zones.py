"""Zones: where their data comes from, and the jumps that are found in it."""

import zoneinfo
from datetime import UTC, datetime
from importlib import import_module
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.oracle.cases import zone_names
from tests.oracle.clock import jumps
from windlass.core import zones
from windlass.core.zones import DAY_S, Zone, zone_data_version, zone_info, zone_name
from windlass.errors import BadOption, UnknownZone, ZoneDataMissing


@pytest.fixture
def fresh_data() -> Any:
    """Forget what has been looked up, before and after."""
    found = (zones._package_is_newer, zones.zone_data_version, zones.zone_of)
    for one in found:
        one.cache_clear()
    yield
    for one in found:
        one.cache_clear()


@pytest.mark.parametrize("name", zone_names()[::12])
def test_the_jumps_of_a_zone_are_those_that_a_walk_day_by_day_finds(name: str) -> None:
    zone, end_s = Zone(name), 2_600_000_000
    found, utc_s = [], 0
    while utc_s < end_s:
        stretch = zone.stretch(utc_s)
        if stretch.jump_in_s and stretch.start_s == utc_s:
            found.append(utc_s)
        utc_s = stretch.stop_s

    assert [one for one in found if one < end_s] == [
        one for one in jumps(zone_info(name), 0, end_s) if one < end_s
    ]


def test_no_two_jumps_are_closer_than_what_is_read_in_one_step() -> None:
    for name in (
        "America/Boa_Vista",
        "Asia/Gaza",
        "Africa/Casablanca",
        "America/Argentina/Tucuman",
    ):
        found = list(jumps(zone_info(name)))

        assert min(b - a for a, b in pairwise(found)) > 2 * zones._STEP_S


def test_no_jump_is_longer_than_the_margin_around_what_is_read() -> None:
    assert zones._MARGIN_S == 2 * DAY_S  # an offset is always below one day


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("europe/berlin", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("new york", "America/New_York"),
        ("Europe/Berln", "Europe/Berlin"),
        ("utc", "UTC"),
    ],
)
def test_the_zone_that_was_meant_is_named(written: str, meant: str) -> None:
    with pytest.raises(UnknownZone) as raised:
        zone_name(written)

    assert raised.value.near == meant


@pytest.mark.parametrize("written", ["", "../../etc/passwd", "Europe", "/etc/localtime", "a" * 300])
def test_what_is_no_name_of_a_zone_is_refused(written: str) -> None:
    with pytest.raises(UnknownZone):
        zone_name(written)


@pytest.mark.parametrize("given", [None, 5, datetime(2026, 1, 1)])
def test_a_zone_is_given_by_its_name(given: object) -> None:
    with pytest.raises(BadOption):
        zone_name(given)
    assert zone_name(ZoneInfo("Europe/Berlin")) == "Europe/Berlin"
    assert zone_name(UTC) == "UTC"


def test_the_package_is_used_unless_the_system_is_newer(
    fresh_data: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zones, "_system_version", lambda: "2025a")
    monkeypatch.setattr(zones, "_package_version", lambda: "2026b")
    assert zone_data_version() == "2026b"

    zones._package_is_newer.cache_clear()
    zone_data_version.cache_clear()
    monkeypatch.setattr(zones, "_system_version", lambda: "2026c")
    assert zone_data_version() == "2026c"


def test_the_version_in_use_is_known() -> None:
    package = str(import_module("tzdata").IANA_VERSION)

    assert zone_data_version() >= package


def test_a_machine_without_zone_data_is_told_apart_from_an_unknown_zone(
    fresh_data: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(key: str) -> ZoneInfo:
        raise zoneinfo.ZoneInfoNotFoundError(key)

    monkeypatch.setattr(zones, "_package_is_newer", lambda: False)
    monkeypatch.setattr(zones, "ZoneInfo", nothing)
    monkeypatch.setattr(zoneinfo, "available_timezones", set)

    with pytest.raises(ZoneDataMissing, match="pip install tzdata"):
        zone_info("Europe/Berlin")
