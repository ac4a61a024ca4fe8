"""Where the jobs of a front end go: into the store that a URL names, or that the settings name."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from windlass import App
from windlass.config import masked_url

SCHEMES = ("sqlite", "postgresql", "postgres")

Log = Callable[[int, str], object]  # a level of ``logging``, and the line


def store_in(url: Any) -> str | None:
    """Return a URL that is one of a store; None for any other, such as another library's broker.

    One with a driver (``postgresql+psycopg2://…``) is of a store too: better refused by the app
    than passed over for another store.
    """
    if not isinstance(url, str):
        return None
    scheme = url.partition(":")[0].lower()
    return url if scheme.partition("+")[0] in SCHEMES else None


class Place:
    """Says in one line of the log, at the first use, where jobs go and what is of no use.

    log: writes the line: a warning, where something was given for another place and nobody has
         said which store it is.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._is_told = False

    def tell(self, app: App, unused: Sequence[str] = ()) -> None:
        """Say it, if it has not been said yet.

        unused: names of what was given, or URLs, which are shown without their passwords.
        """
        if self._is_told:
            return
        self._is_told = True
        source = app.setting_sources["store"]
        line = f"jobs go to {masked_url(app.settings.store)} (setting store, from {source})"
        if unused:
            line += f"; not used: {', '.join(map(masked_url, unused))}"
        is_loud = bool(unused) and source == "default"
        self._log(logging.WARNING if is_loud else logging.INFO, line)
