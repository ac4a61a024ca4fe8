"""The machine's clock, for stores that live in the machine."""

from datetime import UTC, datetime


class SystemClock:
    """The operating system's wall clock."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        return datetime.now(UTC)
