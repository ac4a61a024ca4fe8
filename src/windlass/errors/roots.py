"""The root of the tree, and its five families by who must act."""

from typing import Any


class WindlassError(Exception):
    """The root: catching it catches everything Windlass raises on purpose."""


class ConfigurationError(WindlassError):
    """The deployer must change a setting, a file or an installation."""


class UsageError(WindlassError):
    """The caller must change the call."""


class UnavailableError(WindlassError):
    """Something outside does not answer; trying again may help."""


class StaleError(WindlassError):
    """A write was refused because a newer fence exists: another holder has won."""

    def __init__(self, job_id: str, fence: int) -> None:
        super().__init__(job_id, fence)
        self.job_id = job_id
        self.fence = fence

    def __str__(self) -> str:
        return (
            f"job {self.job_id} is no longer held under fence {self.fence}: "
            "its lease ended and another claim, or a cancel, came first"
        )


class TaskError(WindlassError):
    """Code of a task went wrong, or was stopped."""


def facts_of(error: WindlassError) -> dict[str, Any]:
    """Return the facts of an error by name, for programs (CLI ``--json``, HTTP)."""
    return {name: value for name, value in vars(error).items() if not name.startswith("_")}
