"""When a broker calls those who want to know."""

import enum


@enum.unique
class TaskiqEvents(enum.Enum):
    """What happens to a broker, in a worker and in a client."""

    WORKER_STARTUP = "WORKER_STARTUP"
    WORKER_SHUTDOWN = "WORKER_SHUTDOWN"
    CLIENT_STARTUP = "CLIENT_STARTUP"
    CLIENT_SHUTDOWN = "CLIENT_SHUTDOWN"
