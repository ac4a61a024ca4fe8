"""What a task raises to end itself as cancelled."""


class TaskCancelError(RuntimeError):
    """Raised inside a task: end it with the status ``cancel``; the text is its reason."""
