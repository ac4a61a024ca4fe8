"""``windlass schedules preview``: the ticks to come, as a list or as a calendar."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from windlass.cli.options import AsJson, Store, ask
from windlass.cli.output import print_json, print_table
from windlass.core.tick_notes import note_on, zones_in
from windlass.core.ticks import rule_of
from windlass.core.triggers import at, compile_trigger, cron, describe, every
from windlass.core.zones import zone_info
from windlass.engine.client import Client
from windlass.engine.schedules import ComingTick, coming
from windlass.errors import BadOption
from windlass.model.schedules import ScheduleRule
from windlass.model.triggers import WEEKDAYS, TickCase, Trigger

COUNT = 10
RANGE_MAX = 100_000
TIMES_SHOWN_MAX = 3  # of one day of a calendar; of more only their number
MARK = "*"

CronText = Annotated[
    str | None, typer.Option("--cron", help="A cron expression, such as '30 2 * * *'.")
]
EverySeconds = Annotated[
    float | None, typer.Option("--every", help="An interval in seconds, in place of cron.")
]
AtInstants = Annotated[
    list[str] | None, typer.Option("--at", help="An instant, in place of cron; may be repeated.")
]
Zone = Annotated[str, typer.Option("--tz", help="IANA time zone of the expression.")]


@dataclass(frozen=True, slots=True)
class Preview:
    """Ticks of a trigger.

    says:     what it is, in words.
    zones:    by whose clocks it goes; the first one is that in which its ticks are shown.
    has_more: there are more than these in the range.
    """

    says: str
    zones: list[str]
    clock: ZoneInfo
    ticks: Sequence[ComingTick]
    has_more: bool

    def local(self, tick: ComingTick) -> datetime:
        """Return a tick as the clock on the wall shows it."""
        return tick.at.astimezone(self.clock)

    def note(self, tick: ComingTick) -> str | None:
        """Say what a change of the clock does to a tick."""
        return note_on(tick.at, tick.case, self.zones)


def preview(
    name: Annotated[str | None, typer.Argument(help="The name of a schedule.")] = None,
    expression: CronText = None,
    tz: Zone = "UTC",
    interval: EverySeconds = None,
    instants: AtInstants = None,
    count: Annotated[
        int | None, typer.Option("-n", min=1, max=RANGE_MAX, help="At most so many ticks.")
    ] = None,
    since: Annotated[str | None, typer.Option("--from", help="From this instant on.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Up to this instant.")] = None,
    calendar: Annotated[
        bool, typer.Option("--calendar", help="By months and days; two months without --to.")
    ] = False,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Show the next ticks of a schedule, or of --cron, --every or --at; all of a range with --to.

    Ticks that a change of the clock moves, doubles or swallows have a note.  Instants without an
    offset are by the clock of the schedule's zone.
    Exit code: 0, 1 if there is no such schedule, 2 for a mistake in the trigger, 3 without a store.
    """
    given = [each is not None for each in (name, expression, interval, instants)]
    if sum(given) != 1:
        raise typer.BadParameter("give one of: the name of a schedule, --cron, --every, --at")
    asked = _Asked(since, until, count, calendar)
    if name is not None:
        of = name
        found = ask(store, lambda client: _of_schedule(client, of, asked))
    else:
        trigger = trigger_from(expression, tz, interval, instants, anchor=datetime.now(UTC))
        found = _of_trigger(trigger, asked)
    if found.has_more:
        print(f"only the first {len(found.ticks):,} ticks are shown", file=sys.stderr)
    if as_json:
        print_json(_days_as_data(found) if calendar else _ticks_as_data(found))
        return 0
    print(found.says)
    if calendar:
        _print_calendar(found)
    else:
        _print_ticks(found)
    return 0


def trigger_from(
    expression: str | None,
    tz: str,
    interval: float | None,
    instants: list[str] | None,
    *,
    anchor: datetime | None,
) -> Trigger:
    """Return the trigger that the options say.  Raises: BadOption, BadTrigger, UnknownZone."""
    if sum(each is not None for each in (expression, interval, instants)) != 1:
        raise typer.BadParameter("give one of --cron, --every and --at")
    if interval is not None:
        return every(interval, anchor=anchor)
    if instants is not None:
        return at(*(instant("at", text) for text in instants))
    assert expression is not None
    return cron(expression, tz=tz)


def instant(option: str, text: str, zone: str = "UTC") -> datetime:
    """Return the instant that an option says; without an offset it is by the clock of ``zone``.

    Raises: BadOption.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        why = "must be ISO 8601, for instance 2027-01-31T08:00Z"
        raise BadOption(option, text, why) from error
    return (found.replace(tzinfo=zone_info(zone)) if found.tzinfo is None else found).astimezone(
        UTC
    )


# -- the ticks that are asked for --------------------------------------------


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the options say of the range; as text, because a zone is to be known first."""

    since: str | None
    until: str | None
    count: int | None
    calendar: bool

    def begin(self, zone: str) -> datetime | None:
        return None if self.since is None else instant("from", self.since, zone)

    def end(self, zone: str) -> datetime | None:
        if self.until is not None:
            return instant("to", self.until, zone)
        if not self.calendar:
            return None
        begin = (self.begin(zone) or datetime.now(UTC)).astimezone(zone_info(zone))
        return _month_after(_month_after(begin.replace(hour=0, minute=0, second=0, microsecond=0)))

    def most(self, end: datetime | None) -> int:
        return self.count or (COUNT if end is None else RANGE_MAX)

    def shown(
        self, trigger: Trigger, name: str | None, ticks: list[ComingTick], end: datetime | None
    ) -> Preview:
        """Return the preview, without the tick that only shows whether a range has more."""
        most, zones = self.most(end), zones_in(trigger)
        has_more = end is not None and self.count is None and len(ticks) > most
        says = describe(trigger, name)
        return Preview(says, zones, zone_info(zones[0]), ticks[:most], has_more)


async def _of_schedule(client: Client, name: str, asked: _Asked) -> Preview:
    row = await client.schedules.get(name)
    await client.schedules.preview(name, count=1)  # so that what is broken says so
    trigger = rule_of(row)[0].trigger
    zone = zones_in(trigger)[0]
    begin, end = asked.begin(zone), asked.end(zone)
    ticks = await client.schedules.preview(name, since=begin, until=end, count=asked.most(end) + 1)
    return asked.shown(trigger, name, ticks, end)


def _of_trigger(trigger: Trigger, asked: _Asked) -> Preview:
    zone = zones_in(trigger)[0]
    begin, end = asked.begin(zone) or datetime.now(UTC), asked.end(zone)
    rule, compiled = ScheduleRule(trigger=trigger), compile_trigger(trigger, "preview")
    ticks = coming("preview", rule, compiled, begin, end, asked.most(end) + 1)
    return asked.shown(trigger, None, ticks, end)


def _month_after(day: datetime) -> datetime:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


# -- as a list ---------------------------------------------------------------


def _ticks_as_data(found: Preview) -> list[dict[str, Any]]:
    return [
        {
            "at": tick.at,
            "local": found.local(tick),
            "due_at": tick.due_at,
            "since": tick.since,
            "case": tick.case,
            "note": found.note(tick),
        }
        for tick in found.ticks
    ]


def _print_ticks(found: Preview) -> None:
    columns: dict[str, list[Any]] = {"tick": [tick.at for tick in found.ticks]}
    columns |= {f"in {found.zones[0]}": [_clock(found.local(tick)) for tick in found.ticks]}
    columns |= {"starts": [t.due_at if t.due_at != t.at else None for t in found.ticks]}
    columns |= {"window from": [tick.since for tick in found.ticks]}
    columns |= {"note": [found.note(tick) for tick in found.ticks]}
    used = {name: cells for name, cells in columns.items() if any(cells)}
    print_table(list(used), list(zip(*used.values(), strict=True)), empty="no ticks")


def _clock(local: datetime) -> str:
    return local.strftime("%a %Y-%m-%d %H:%M:%S %Z")


# -- as a calendar -----------------------------------------------------------


def _by_day(found: Preview) -> dict[date, list[ComingTick]]:
    days: dict[date, list[ComingTick]] = {}
    for tick in found.ticks:
        days.setdefault(found.local(tick).date(), []).append(tick)
    return days


def _days_as_data(found: Preview) -> list[dict[str, Any]]:
    return [
        {
            "date": day,
            "ticks": len(_real(ticks)),
            "times": [_time(found.local(tick)) for tick in _real(ticks)],
            "notes": _notes(found, ticks),
        }
        for day, ticks in _by_day(found).items()
    ]


def _print_calendar(found: Preview) -> None:
    days = _by_day(found)
    if not days:
        print("no ticks")
    for month in dict.fromkeys(day.replace(day=1) for day in days):
        inside = {day: ticks for day, ticks in days.items() if day.replace(day=1) == month}
        total = sum(len(_real(ticks)) for ticks in inside.values())
        print(f"\n{month:%B %Y} by the clock of {found.zones[0]}: {total:,} ticks")
        print_table([day.capitalize() for day in WEEKDAYS], _weeks(found, month, inside), empty="")
        for day, ticks in inside.items():
            for note, count in _notes(found, ticks).items():
                many = f" ({count:,} ticks)" if count > 1 else ""
                print(f"{MARK} {day:%a %Y-%m-%d}: {note}{many}")


def _weeks(found: Preview, month: date, days: dict[date, list[ComingTick]]) -> list[list[str]]:
    shows_times = all(len(ticks) <= TIMES_SHOWN_MAX for ticks in days.values())
    cells = [""] * month.weekday()
    day = month
    while day.month == month.month:
        cells.append(_cell(found, day, days.get(day, []), shows_times=shows_times))
        day += timedelta(days=1)
    cells += [""] * (-len(cells) % len(WEEKDAYS))
    return [cells[n : n + len(WEEKDAYS)] for n in range(0, len(cells), len(WEEKDAYS))]


def _cell(found: Preview, day: date, ticks: list[ComingTick], *, shows_times: bool) -> str:
    real = _real(ticks)
    mark = MARK if any(tick.case is not None for tick in ticks) else ""
    if shows_times:
        told = " ".join(_time(found.local(tick)) for tick in real)
    else:
        told = f"{len(real):,}x" if real else ""
    return f"{day.day:>2} {told}{mark}".rstrip()


def _real(ticks: Sequence[ComingTick]) -> list[ComingTick]:
    """Return those which start something."""
    return [tick for tick in ticks if tick.case is not TickCase.NONEXISTENT]


def _time(local: datetime) -> str:
    return local.strftime("%H:%M:%S" if local.second else "%H:%M")


def _notes(found: Preview, ticks: Sequence[ComingTick]) -> dict[str, int]:
    return Counter(note for tick in ticks if (note := found.note(tick)) is not None)
