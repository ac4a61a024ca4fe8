"""Triggers in words."""

from windlass.model.triggers import Trigger


def describe(trigger: Trigger) -> str:
    """Return what a trigger says, in words."""
    return repr(trigger)
