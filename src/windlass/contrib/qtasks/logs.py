"""The logger that tasks are given: the standard library's, with a second name in each record."""

import logging
from typing import Any


class Logger:
    """Writes to ``logging.getLogger(name)``; each record has ``subname``, the part that speaks.

    default_level: less severe lines are dropped here.   format: used by run_forever(), where the
    program has set up no logging of its own.
    """

    def __init__(
        self,
        name: str,
        subname: str | None = None,
        default_level: int = logging.INFO,
        format: str | None = None,
    ) -> None:
        self.name = name
        self.subname = subname or "-"
        self.default_level = default_level
        self.format = format
        self.logger = logging.getLogger(name)

    def critical(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log a line of the level CRITICAL."""
        self.log(logging.CRITICAL, msg, *args, **kwargs)

    def error(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log a line of the level ERROR."""
        self.log(logging.ERROR, msg, *args, **kwargs)

    def warning(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log a line of the level WARNING."""
        self.log(logging.WARNING, msg, *args, **kwargs)

    def info(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log a line of the level INFO."""
        self.log(logging.INFO, msg, *args, **kwargs)

    def debug(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log a line of the level DEBUG."""
        self.log(logging.DEBUG, msg, *args, **kwargs)

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log a line of any level."""
        if level >= self.default_level:
            extra = {"subname": self.subname, **(kwargs.pop("extra", None) or {})}
            self.logger.log(level, msg, *args, extra=extra, stacklevel=3, **kwargs)

    def with_subname(
        self, new_subname: str, default_level: int | None = None, format: str | None = None
    ) -> "Logger":
        """Return a logger for another part."""
        return self.update_logger(subname=new_subname, default_level=default_level, format=format)

    def update_logger(self, **changes: Any) -> "Logger":
        """Return a logger that differs in what is given and not None."""
        kept = {
            "name": self.name,
            "subname": self.subname,
            "default_level": self.default_level,
            "format": self.format,
        }
        return Logger(**{**kept, **{key: value for key, value in changes.items() if value}})
