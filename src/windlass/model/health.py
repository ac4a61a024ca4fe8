"""The health of a worker process, as it tells it."""

import msgspec


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a process makes progress, and whether it can take jobs.

    stalls:   what does not move, one sentence each; none in a process that is live.
    wants:    what it waits for before it can take jobs.
    stopping: whether it was told to stop.
    """

    stalls: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()
    stopping: bool = False

    @property
    def live(self) -> bool:
        """Whether everything in it moves."""
        return not self.stalls

    @property
    def ready(self) -> bool:
        """Whether it can take jobs."""
        return not self.stalls and not self.wants


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker process tells its supervisor, again and again.

    running:  attempts in progress.
    backlog:  its last claim brought as many jobs as it had room for.
    retiring: it claims no more, and ends with its last attempt.
    """

    health: Health
    running: int
    slots: int
    backlog: bool = False
    retiring: bool = False
