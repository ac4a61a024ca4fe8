"""The states in which Celery sees a task."""

PENDING = "PENDING"  # it waits, it runs for the first time, or nobody knows it
STARTED = "STARTED"  # it runs; only with ``track_started``
RETRY = "RETRY"  # it waits for another attempt, or has begun it
SUCCESS = "SUCCESS"
FAILURE = "FAILURE"
REVOKED = "REVOKED"  # it was cancelled, or had expired

# Tasks are never in these; code may name them.
RECEIVED, REJECTED, IGNORED = "RECEIVED", "REJECTED", "IGNORED"

READY_STATES = frozenset({SUCCESS, FAILURE, REVOKED})
UNREADY_STATES = frozenset({PENDING, STARTED, RETRY})
EXCEPTION_STATES = frozenset({RETRY, FAILURE, REVOKED})
PROPAGATE_STATES = frozenset({FAILURE, REVOKED})
ALL_STATES = READY_STATES | UNREADY_STATES
