"""What a job is told of the tick that started it: headers, there and back."""

from datetime import UTC, datetime

import msgspec

from windlass.model.jobs import headers_of

SCHEDULE, FIRE_AT, WINDOW_START = "windlass-schedule", "windlass-fire-at", "windlass-window-start"


class Occasion(msgspec.Struct, frozen=True):
    """The tick that started a job.  Instants are aware, in UTC.

    window_start: of the span ``[window_start, fire_at)`` that it is about; None without windows.
    """

    schedule: str
    fire_at: datetime
    window_start: datetime | None = None


def headers_for(occasion: Occasion, of_call: bytes | None = None) -> bytes:
    """Return the headers of a job that a tick starts, over those which its schedule gives it."""
    headers = headers_of(of_call)
    headers |= {SCHEDULE: occasion.schedule, FIRE_AT: occasion.fire_at.isoformat()}
    if occasion.window_start is not None:
        headers[WINDOW_START] = occasion.window_start.isoformat()
    return msgspec.json.encode(headers)


def occasion_of(headers: bytes | None) -> Occasion | None:
    """Return the tick that started a job; None for a job that somebody enqueued."""
    texts = headers_of(headers)
    if SCHEDULE not in texts or FIRE_AT not in texts:
        return None
    since = texts.get(WINDOW_START)
    start = None if since is None else _instant(since)
    return Occasion(texts[SCHEDULE], _instant(texts[FIRE_AT]), start)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
