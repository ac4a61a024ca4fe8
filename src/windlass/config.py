"""Settings: one frozen value, read once, and where each part of it came from."""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from windlass.core.tasks import nearest
from windlass.errors import BadSetting, UnknownSetting

PREFIX = "WINDLASS_"
NOT_SETTINGS = frozenset({"WINDLASS_APP"})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, with its unit in its name and its default."""

    store: str = "sqlite:///windlass.db"
    queues: tuple[str, ...] = ("default",)
    concurrency: int = 16
    lease_s: float = 15.0
    renew_s: float = 5.0
    sweep_interval_s: float = 1.0
    poll_interval_s: float = 1.0
    shutdown_timeout_s: float = 30.0
    payload_limit_bytes: int = 262_144
    losses_max: int = 3
    unknown_task_delay_s: float = 5.0
    claim_batch: int = 200
    retention_s: float = 7 * 86_400.0
    sqlite_synchronous: str = "full"
    pg_pool_size: int = 4
    log_level: str = "info"


def load_settings(
    overrides: Mapping[str, Any], environ: Mapping[str, str], folder: Path
) -> tuple[Settings, dict[str, str]]:
    """Return the effective settings and the source of each."""
    fields = {field.name: field for field in dataclasses.fields(Settings)}
    values: dict[str, Any] = {}
    sources = dict.fromkeys(fields, "default")
    for name, value in overrides.items():
        if name not in fields:
            raise UnknownSetting(name, "arguments", nearest(name, fields))
        values[name] = value
        sources[name] = "argument"
    try:
        return msgspec.convert(values, Settings), sources
    except msgspec.ValidationError as error:
        raise BadSetting("?", values, str(error)) from error


__all__ = ["NOT_SETTINGS", "PREFIX", "Settings", "load_settings", "tomllib"]
