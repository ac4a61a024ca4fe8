"""The probes at which other schedulers differ, and what Windlass does."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from windlass import cron
from windlass.core.triggers import compile_trigger
from windlass.errors import BadTrigger

NEW_YORK, HAVANA = "America/New_York", "America/Havana"
LORD_HOWE, APIA = "Australia/Lord_Howe", "Pacific/Apia"


def between(expression: str, tz: str, start: str, end: str) -> list[str]:
    """Return what the clock shows at each tick from ``start`` to before ``end``."""
    zone = ZoneInfo(tz)
    rule = compile_trigger(cron(expression, tz=tz), "")
    after = datetime.fromisoformat(start).replace(tzinfo=zone).astimezone(UTC)
    stop = datetime.fromisoformat(end).replace(tzinfo=zone).astimezone(UTC)
    shown = []
    while (tick := rule.next(after)) is not None and tick.at < stop:
        assert tick.at > after
        after = tick.at
        local = tick.at.astimezone(zone)
        case = f" {tick.case}" if tick.case else ""
        shown.append(f"{local:%d %H:%M}{' again' if local.fold else ''}{case}")
    return shown


@pytest.mark.parametrize(
    ("expression", "tz", "start", "end", "expected"),
    [
        ("30 2 * * *", NEW_YORK, "2026-03-08", "2026-03-09", ["08 03:00 gap"]),
        ("0 */2 * * *", NEW_YORK, "2026-03-08", "2026-03-08T05:00", ["08 04:00"]),
        ("30 1 * * *", NEW_YORK, "2026-11-01", "2026-11-02", ["01 01:30 overlap"]),
        (
            "*/20 1 * * *",
            NEW_YORK,
            "2026-11-01",
            "2026-11-02",
            [f"01 01:{m}{again} overlap" for again in ("", " again") for m in ("00", "20", "40")],
        ),
        (
            "*/30 * * * *",
            NEW_YORK,
            "2026-11-01",
            "2026-11-01T02:01",
            [
                *("01 00:30", "01 01:00 overlap", "01 01:30 overlap"),
                *("01 01:00 again overlap", "01 01:30 again overlap", "01 02:00"),
            ],
        ),
        ("0 0 * * *", HAVANA, "2026-03-07T12:00", "2026-03-09", ["08 01:00 gap"]),
        ("15 2 * * *", LORD_HOWE, "2026-10-04", "2026-10-05", ["04 02:30 gap"]),
        (
            "0 0 * * *",
            APIA,
            "2011-12-28T12:00",
            "2012-01-01",
            ["29 00:00", "29 23:59 nonexistent", "31 00:00"],
        ),
        (
            "0 0 13 * 5",
            "UTC",
            "2026-02-01",
            "2026-02-28",
            ["06 00:00", "13 00:00", "20 00:00", "27 00:00"],
        ),
    ],
)
def test_each_probe_gives_what_the_table_says(
    expression: str, tz: str, start: str, end: str, expected: list[str]
) -> None:
    assert between(expression, tz, start, end) == expected


def test_a_date_that_never_comes_is_refused_at_definition() -> None:
    with pytest.raises(BadTrigger, match=r"day of the month \(field 3 of 5\).*Feb"):
        cron("0 0 30 2 *")
