"""A clock that stands still until a test moves it."""

from datetime import UTC, datetime, timedelta


class FakeClock:
    """A wall clock for embedded stores; it moves only when told to."""

    def __init__(self, start: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        self._now = start

    def now(self) -> datetime:
        """Return the instant at which the clock stands, aware, in UTC."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move on by ``seconds``; a negative number is a clock that was set back."""
        self._now += timedelta(seconds=seconds)
