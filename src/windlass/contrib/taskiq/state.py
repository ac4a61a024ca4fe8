"""What a broker's handlers and tasks share."""

from typing import Any


class TaskiqState(dict[str, Any]):
    """A dict whose keys are attributes too; one for each broker in each process."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the state has no {name!r} yet") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(f"the state has no {name!r}") from None
