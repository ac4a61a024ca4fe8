"""Settings: one frozen value, read once, and where each part of it came from."""

import dataclasses
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from windlass.core.names import check_name, nearest
from windlass.core.serializers import JSON, PICKLE, PICKLE_KEY_LENGTH_MIN
from windlass.core.serializers import NAME as SERIALIZER_NAME
from windlass.core.sizes import SIZE_MAX
from windlass.errors import BadOption, BadSetting, UnknownSetting
from windlass.model.jobs import CLAIM_BATCH_MAX
from windlass.model.schedules import LEADER_LEASE_S_MAX

PREFIX = "WINDLASS_"
NOT_SETTINGS = frozenset({"WINDLASS_APP"})

DAY_S = 86_400
YEAR_S = 365 * DAY_S

MASK = "***"

T = TypeVar("T")


def _setting(default: T, help: str, **limits: object) -> T:
    """Declare a setting.

    limits: ``least`` and ``most`` are in the range, ``above`` is just outside of it;
            ``choices`` are the only values; what is ``secret`` is never shown.
    """
    secret = bool(limits.get("secret"))
    field: T = dataclasses.field(
        default=default, repr=not secret, metadata={"help": help, **limits}
    )
    return field


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, with its unit in its name and its default.

    The metadata of each field holds its ``help`` and its limits (see ``load_settings``).
    """

    store: str = _setting(
        "sqlite:///windlass.db",
        "URL of the store that keeps the jobs: `sqlite:///relative.db`, "
        "`sqlite:////absolute.db` or `postgresql://user@host/database`.",
    )
    queues: tuple[str, ...] = _setting(
        ("default",),
        "Queues that a worker serves, besides those that its tasks name; "
        "in the environment, a list separated by commas.",
    )
    concurrency: int = _setting(
        16,
        "Jobs that one worker process runs at the same time (1 to 10,000).",
        least=1,
        most=10_000,
    )
    thread_slots: int = _setting(
        0,
        "Threads for plain functions in each worker process (0 to 10,000; 0: as many as "
        "`concurrency`).",
        least=0,
        most=10_000,
    )
    process_slots: int = _setting(
        0,
        'Child processes for tasks with `isolation="process"` in each worker process '
        "(0 to 10,000; 0: as many as `concurrency`).",
        least=0,
        most=10_000,
    )
    lease_s: float = _setting(
        15.0,
        "Seconds that a worker may stay silent before its jobs go to another worker "
        "(0.5 to 3,600); a shorter lease finds a dead worker sooner and bears shorter pauses.",
        least=0.5,
        most=3_600,
    )
    renew_s: float = _setting(
        5.0,
        "Seconds between two renewals of a worker's lease (0.05 to 1,800); "
        "at most half of `lease_s`, so that one renewal may fail.",
        least=0.05,
        most=1_800,
    )
    sweep_interval_s: float = _setting(
        1.0,
        "Longest time in seconds between two looks for lost workers and for jobs that are due "
        "(0.01 to 60).",
        least=0.01,
        most=60,
    )
    poll_interval_s: float = _setting(
        1.0,
        "Longest time in seconds that an idle worker waits before it looks for jobs without "
        "having been woken (0.01 to 60).",
        least=0.01,
        most=60,
    )
    shutdown_timeout_s: float = _setting(
        30.0,
        "Seconds that running jobs get to end after a worker was told to stop (0 to 86,400); "
        "then they are released to other workers.",
        least=0,
        most=DAY_S,
    )
    recycle_after_jobs: int = _setting(
        0,
        "Jobs after which a worker process makes way for a fresh one, once what runs has ended; "
        "also attempts after which a child process does (0 to 1,000,000,000; 0: never).",
        least=0,
        most=1_000_000_000,
    )
    recycle_above_bytes: int = _setting(
        0,
        "Resident memory in bytes above which a worker process makes way for a fresh one, once "
        "what runs has ended (0 to 4 EiB; 0: no bound).",
        least=0,
        most=SIZE_MAX,
    )
    stall_limit_s: float = _setting(
        30.0,
        "Seconds without progress of one of its loops after which a worker says that it is "
        "not live (1 to 86,400).",
        least=1,
        most=DAY_S,
    )
    blocked_warning_s: float = _setting(
        2.0,
        "Seconds that code may block a worker's event loop before the worker logs where it "
        "stands (0.1 to 86,400).",
        least=0.1,
        most=DAY_S,
    )
    payload_limit_bytes: int = _setting(
        262_144,
        "Largest size in bytes of the encoded arguments, and of the encoded result, of one job "
        "(1 to 67,108,864).",
        least=1,
        most=64 * 1024 * 1024,
    )
    large_results: str = _setting(
        "",
        "URL of the place for results above `payload_limit_bytes`: a folder that all processes "
        "share, `file:///var/lib/results`, or `s3://bucket/prefix`, `gs://bucket/prefix`, "
        "`az://container/prefix`; without it such a result fails its job.",
    )
    large_result_limit_bytes: int = _setting(
        64 * 1024 * 1024,
        "Largest size in bytes of an encoded result where `large_results` is set "
        "(1 to 1,073,741,824).",
        least=1,
        most=1024 * 1024 * 1024,
    )
    serializer: str = _setting(
        JSON,
        "Format of arguments and results for tasks that name none themselves: `json`, `msgpack`, "
        "or the name of a serializer that the app adds.",
    )
    pickle_key: str = _setting(
        "",
        f"Secret of at least {PICKLE_KEY_LENGTH_MIN} characters which signs and proves the "
        'payloads of tasks with `serializer="pickle"`; without it nothing is unpickled.',
        secret=True,
    )
    losses_max: int = _setting(
        3,
        "Number of workers that a job may lose before it fails as poison (1 to 10,000).",
        least=1,
        most=10_000,
    )
    unknown_task_delay_s: float = _setting(
        5.0,
        "Seconds before a job is offered again when the worker that claimed it does not know "
        "its task (0.1 to 86,400).",
        least=0.1,
        most=DAY_S,
    )
    claim_batch: int = _setting(
        200,
        f"Most jobs that a worker claims in one request (1 to {CLAIM_BATCH_MAX:,}).",
        least=1,
        most=CLAIM_BATCH_MAX,
    )
    retention_s: float = _setting(
        7.0 * DAY_S,
        "Seconds that an ended job is kept before it is deleted "
        "(more than 0, at most 100 years); dead letters stay until they are discarded.",
        above=0,
        most=100 * YEAR_S,
    )
    scheduler_lease_s: float = _setting(
        5.0,
        "Seconds that the leading scheduler may stay silent before another takes its place "
        "(0.5 to 60); the clocks of all schedules stand still meanwhile.",
        least=0.5,
        most=LEADER_LEASE_S_MAX,
    )
    scheduler_sweep_s: float = _setting(
        60.0,
        "Longest time in seconds that a scheduler sleeps before it looks for due schedules "
        "without having been woken (0.01 to 3,600).",
        least=0.01,
        most=3_600,
    )
    progress_interval_s: float = _setting(
        0.25,
        "Seconds between two writes of what a worker's attempts say of their progress "
        "(0.01 to 60); a shorter time shows it sooner and writes more often.",
        least=0.01,
        most=60,
    )
    sqlite_synchronous: str = _setting(
        "full",
        "How SQLite writes to the disk: `full` and `extra` keep an acknowledged job through a "
        "power cut, `normal` is faster and keeps it only through the death of a process.",
        choices=("full", "normal", "extra"),
    )
    pg_pool_size: int = _setting(
        4,
        "Most connections that one process opens to PostgreSQL for its statements (1 to 1,000).",
        least=1,
        most=1_000,
    )
    log_level: str = _setting(
        "info",
        "Least severe log lines that the command line prints: "
        "`debug`, `info`, `warning` or `error`.",
        choices=("debug", "info", "warning", "error"),
    )

    @property
    def result_limit_bytes(self) -> int:
        """How large an encoded result may be, wherever it is kept."""
        if not self.large_results:
            return self.payload_limit_bytes
        return max(self.payload_limit_bytes, self.large_result_limit_bytes)


_FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
_KINDS = {str: "a text", int: "a whole number", float: "a number"}  # others are lists of texts


@dataclass(frozen=True, slots=True)
class _Given:
    """An acceptable value, and who gave it."""

    value: Any
    source: str


def load_settings(
    overrides: Mapping[str, Any], environ: Mapping[str, str], folder: Path
) -> tuple[Settings, dict[str, str]]:
    """Return the effective settings, and the source of each by its name.

    Order:   ``overrides``, then ``WINDLASS_…`` in ``environ``, then ``windlass.toml`` in
             ``folder`` or else ``[tool.windlass]`` of its ``pyproject.toml``, then the default.
             Every value is checked, also one that another source hides.
    Sources: ``argument``, the variable's name, the file's name, or ``default``.
    Raises:  BadSetting, UnknownSetting.
    """
    given = {
        **_from_files(folder),
        **_from_environ(environ),
        **_from_arguments(overrides),
    }
    settings = Settings(**{name: each.value for name, each in given.items()})
    sources = {name: given[name].source if name in given else "default" for name in _FIELDS}
    _check_renewal(settings, sources)
    return settings, sources


def override_settings(
    settings: Settings, sources: Mapping[str, str], overrides: Mapping[str, Any]
) -> tuple[Settings, dict[str, str]]:
    """Return settings with others in place of some, and their sources.

    Raises: BadSetting, UnknownSetting.
    """
    given = _from_arguments(overrides)
    overridden = dataclasses.replace(settings, **{n: each.value for n, each in given.items()})
    named = {**sources, **{name: each.source for name, each in given.items()}}
    _check_renewal(overridden, named)
    return overridden, named


# -- sources -----------------------------------------------------------------


def _from_arguments(overrides: Mapping[str, Any]) -> dict[str, _Given]:
    _refuse_unknown(overrides, "arguments")
    return {name: _accept(name, value, "argument") for name, value in overrides.items()}


def _from_environ(environ: Mapping[str, str]) -> dict[str, _Given]:
    names = {PREFIX + name.upper(): name for name in _FIELDS}
    variables = sorted(name for name in environ if name.startswith(PREFIX))
    given = {}
    for variable in variables:
        if variable in names:
            name = names[variable]
            given[name] = _accept_text(name, environ[variable], variable)
        elif variable not in NOT_SETTINGS:
            raise UnknownSetting(variable, "the environment", nearest(variable.upper(), names))
    return given


def _from_files(folder: Path) -> dict[str, _Given]:
    table = _read_toml(folder / "windlass.toml")
    source = "windlass.toml"
    if table is None:
        table = _tool_table(_read_toml(folder / "pyproject.toml") or {})
        source = "pyproject.toml [tool.windlass]"
    _refuse_unknown(table, source)
    return {name: _accept(name, value, source) for name, value in table.items()}


def _read_toml(path: Path) -> dict[str, Any] | None:
    """Return the file's content, or None if there is no such file."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        why = f"the file cannot be read: {error.strerror or error}"
        raise BadSetting(path.name, str(path), why, path.name) from error
    except UnicodeDecodeError:  # as a cause it would carry the whole file, secrets included
        why = "the file is not valid TOML: it is not encoded in UTF-8"
        raise BadSetting(path.name, str(path), why, path.name) from None
    except tomllib.TOMLDecodeError as error:
        why = f"the file is not valid TOML: {error}"
        raise BadSetting(path.name, str(path), why, path.name) from None


def _tool_table(document: dict[str, Any]) -> dict[str, Any]:
    tools = document.get("tool")
    table = tools.get("windlass", {}) if isinstance(tools, dict) else {}
    if not isinstance(table, dict):
        why = "must be a table: write [tool.windlass], then one setting a line"
        raise BadSetting("tool.windlass", "***", why, "pyproject.toml")
    return table


def _refuse_unknown(names: Mapping[str, Any], source: str) -> None:
    for name in names:
        if name not in _FIELDS:
            raise UnknownSetting(name, source, nearest(name, _FIELDS))


# -- checks ------------------------------------------------------------------


def _accept_text(name: str, text: str, source: str) -> _Given:
    """Check a value that could only be written as a text."""
    if _is_list(name):
        parts = [stripped for part in text.split(",") if (stripped := part.strip())]
        return _accept(name, parts, source)
    return _accept(name, text, source, strict=False)


def _accept(name: str, value: Any, source: str, *, strict: bool = True) -> _Given:
    kind: Any = _FIELDS[name].type
    try:
        converted = msgspec.convert(value, kind, strict=strict)
    except (msgspec.ValidationError, OverflowError):  # the message says as much as the cause
        why = f"must be {_KINDS.get(kind, 'a list of texts')}"
        raise BadSetting(name, _shown(name, value), why, source) from None
    for why in _faults(name, converted):
        raise BadSetting(name, _shown(name, value), why, source)
    return _Given(converted, source)


def _faults(name: str, value: Any) -> Iterator[str]:
    """Yield what is wrong with a value of the right type."""
    limits = _FIELDS[name].metadata
    if "choices" in limits and value not in limits["choices"]:
        yield f"must be one of {', '.join(limits['choices'])}"
    yield from _range_faults(limits, value)
    if name == "store":
        yield from _store_faults(value)
    elif name == "large_results":
        yield from _place_faults(value)
    elif name == "serializer":
        yield from _serializer_faults(value)
    elif name == "pickle_key":
        if value and len(value) < PICKLE_KEY_LENGTH_MIN:
            yield f"must have at least {PICKLE_KEY_LENGTH_MIN} random characters"
    elif _is_list(name):
        yield from _names_faults(value)


def _range_faults(limits: Mapping[str, Any], value: Any) -> Iterator[str]:
    # Each test is written so that NaN, which compares to nothing, is a fault.
    if "least" in limits and not value >= limits["least"]:
        yield f"must be at least {limits['least']:,}"
    if "above" in limits and not value > limits["above"]:
        yield f"must be more than {limits['above']:,}"
    if "most" in limits and not value <= limits["most"]:
        yield f"must be at most {limits['most']:,}"


def _store_faults(url: str) -> Iterator[str]:
    if not url:
        yield "must be a URL such as sqlite:///windlass.db"
    if not url.isprintable() or url != url.strip():
        yield "must be printable, without blanks at its ends"


def _place_faults(url: str) -> Iterator[str]:
    if not url.isprintable() or url != url.strip():
        yield "must be printable, without blanks at its ends"
    elif url and "://" not in url:
        yield "must be a URL such as file:///var/lib/results or s3://bucket/prefix"


def _serializer_faults(name: str) -> Iterator[str]:
    if name == PICKLE:
        yield 'cannot be "pickle": a task asks for it, as @app.task(serializer="pickle")'
    elif not SERIALIZER_NAME.fullmatch(name):
        yield "must be a name of 1 to 32 small letters, digits, - and _"


def _names_faults(names: tuple[str, ...]) -> Iterator[str]:
    if not names:
        yield "must name at least one queue"
    for each in names:
        try:
            check_name("queues", each)
        except BadOption as error:
            yield f"the queue name {each!r} {error.why}"


def _check_renewal(settings: Settings, sources: Mapping[str, str]) -> None:
    """Blame ``renew_s``, unless only ``lease_s`` was given."""
    lease_s, renew_s = settings.lease_s, settings.renew_s
    if renew_s <= lease_s / 2:
        return
    if sources["renew_s"] == "default":
        why = f"must be at least twice renew_s, which is {renew_s:g}; lower renew_s too"
        raise BadSetting("lease_s", lease_s, why, sources["lease_s"])
    why = f"must be at most half of lease_s, which is {lease_s:g} (from {sources['lease_s']})"
    raise BadSetting("renew_s", renew_s, why, sources["renew_s"])


def _is_list(name: str) -> bool:
    return _FIELDS[name].type not in _KINDS


# -- secrets -----------------------------------------------------------------

# Passwords are often not escaped as a URL demands, so the last @ ends one, whatever stands before.
_LOGIN = re.compile(r"^((?:[^:/?#]*://)?[^:/?#]*:)(?!//).*@", re.DOTALL)
_PARAMETER = re.compile(r"((?:^|[?&;\s])\w*password\s*=)[^&]*", re.IGNORECASE)


def masked_url(url: str) -> str:
    """Return a URL for messages, with ``***`` in place of each password.

    Masks the password before the host and any parameter whose name ends in ``password``.
    In a URL that can be read in two ways it masks the longer part.
    """
    return _PARAMETER.sub(r"\1***", _LOGIN.sub(r"\1***@", url))


def shown_place(url: str) -> str:
    """Return the URL of large results for messages: without login, and without its options."""
    place, has_options, _ = masked_url(url).partition("?")
    return place + ("?" + MASK if has_options else "")


def _shown(name: str, value: Any) -> Any:
    """Return what a message may show of a value."""
    if _FIELDS[name].metadata.get("secret"):
        return MASK if value else value
    if name not in ("store", "large_results"):
        return value
    if not isinstance(value, str):
        return MASK
    return masked_url(value) if name == "store" else shown_place(value)


def shown_settings(settings: Settings) -> dict[str, Any]:
    """Return each setting as it may be shown: without passwords and secrets."""
    return {name: _shown(name, getattr(settings, name)) for name in _FIELDS}


__all__ = [
    "NOT_SETTINGS",
    "PREFIX",
    "Settings",
    "load_settings",
    "masked_url",
    "override_settings",
    "shown_place",
    "shown_settings",
]
