"""Claims as a worker gets them, some time after they were made."""

from msgspec.structs import replace as with_

from windlass.model.jobs import Claim


def due_from(claim: Claim, due_in_s: float) -> Claim:
    """Return a claim that is due after ``due_in_s``; it is due already if that is not above 0."""
    return with_(claim, due_in_s=due_in_s) if due_in_s > 0 else claim


def due_after(claims: list[Claim], passed_s: float) -> list[Claim]:
    """Return claims as they stand ``passed_s`` later: what is not due yet is nearer to it."""
    if all(claim.due_in_s is None for claim in claims):
        return claims
    return [
        claim
        if claim.due_in_s is None
        else with_(claim, due_in_s=max(0.0, claim.due_in_s - max(0.0, passed_s)))
        for claim in claims
    ]
