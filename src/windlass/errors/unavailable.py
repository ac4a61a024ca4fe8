"""What does not answer; trying again may help."""

from windlass.errors.roots import UnavailableError


class StoreUnavailable(UnavailableError):
    """The store does not answer."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(url, why)
        self.url = url
        self.why = why

    def __str__(self) -> str:
        return f"store {self.url} does not answer: {self.why}"


class BlobsUnavailable(UnavailableError):
    """The place of the large results does not answer, or refuses."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(url, why)
        self.url = url
        self.why = why

    def __str__(self) -> str:
        return f"large results at {self.url} cannot be reached: {self.why}"


class BrokerUnavailable(UnavailableError):
    """The broker that is drained does not answer, or refuses."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(url, why)
        self.url = url
        self.why = why

    def __str__(self) -> str:
        return f"broker {self.url} does not answer: {self.why}"
