"""What a task may return in place of a value: jobs whose result will be its own."""

from abc import ABC, abstractmethod

from windlass.model.outcomes import Continued


class Continuation(ABC):
    """Something that a job can go on as."""

    @abstractmethod
    def continued(self) -> Continued:
        """Return the jobs, and which of them give the result."""
