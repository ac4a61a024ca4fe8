"""What came too late: another holder has won, and nothing is left to do."""

from windlass.errors.roots import StaleError


class LeaderLost(StaleError):
    """Another scheduler leads: what was planned under the old term was not written."""

    def __init__(self, leader: str, term: int) -> None:
        super().__init__(leader, term)
        self.leader = leader
        self.term = term

    def __str__(self) -> str:
        return (
            f"scheduler {self.leader} no longer leads in term {self.term}: "
            "its lease ended, and nothing of what it planned was written"
        )
