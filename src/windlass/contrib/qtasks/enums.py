"""The words for how a task stands."""

from enum import Enum


class TaskStatusEnum(Enum):
    """How a task stands; ``Task.status`` is the value of one of these."""

    NEW = "new"
    PROCESS = "process"
    SUCCESS = "success"
    ERROR = "error"
    CANCEL = "cancel"
