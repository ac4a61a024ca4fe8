"""What a step of a schema is; the steps themselves lie beside each store's statements."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    number: int
    name: str
    script: str
