"""Progress: how far a running attempt says that it is."""

from datetime import datetime

import msgspec

from windlass.model.jobs import JobId

MESSAGE_LENGTH_MAX = 500
REPORT_BATCH_MAX = 1_000


class ProgressReport(msgspec.Struct, frozen=True, gc=False):
    """One guarded write: kept only while ``job_id`` runs under ``fence``."""

    job_id: JobId
    fence: int
    fraction: float
    message: str


class Progress(msgspec.Struct, frozen=True):
    """What a job's code said last of how far it is.

    fraction: from 0 to 1; it may also go back, as when another attempt begins.
    at:       when the store learned of it; aware, in UTC.
    """

    fraction: float
    message: str
    at: datetime
