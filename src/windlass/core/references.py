"""References to large results: how they are written, and which blobs are still needed.  Pure.

A reference holds no key: that is made of the id of the job which is read, so that the bytes of
one job never lead to the result of another.
"""

import hashlib
import re

import msgspec

from windlass.core.serializers import RESERVED, framed, unframed
from windlass.model.blobs import Reference
from windlass.model.jobs import Finished, Job, JobId, State

_HEAD = framed(RESERVED, b"")
_KEY = re.compile(r"[0-9a-f]{16}/(?P<job>[0-9A-Za-z_-]{1,100})\.(?P<fence>[0-9]{1,19})")
_SPACE = re.compile(r"[0-9a-f]{16}")
_decoder = msgspec.json.Decoder(Reference)


def is_reference(data: bytes | None) -> bool:
    """Tell whether a stored result lies elsewhere."""
    return data is not None and data.startswith(_HEAD)


def reference_frame(reference: Reference) -> bytes:
    """Return what is stored in place of the result."""
    return framed(RESERVED, msgspec.json.encode(reference))


def reference_in(data: bytes) -> Reference:
    """Return the reference that a frame holds.  Raises: msgspec.DecodeError."""
    reference = _decoder.decode(unframed(data)[1])
    if not _SPACE.fullmatch(reference.space) or reference.fence < 0 or reference.size_bytes < 0:
        raise msgspec.DecodeError("it is no reference to a blob")
    return reference


def space_of(store_url: str) -> str:
    """Return the part of the blobs in which a store's are, as the store is called here."""
    return hashlib.sha256(store_url.encode()).hexdigest()[:16]


def key_of(space: str, job_id: JobId, fence: int) -> str:
    """Return where the result of one attempt lies."""
    return f"{space}/{job_id}.{fence}"


def attempt_of(key: str) -> tuple[JobId, int] | None:
    """Return the job and the fence of a key; None for what is no result of ours."""
    found = _KEY.fullmatch(key)
    return found and (JobId(found["job"]), int(found["fence"]))


def is_needed(fence: int, job: Job | Finished | None) -> bool:
    """Tell whether anything refers to the blob of an attempt, or ever may.

    job: as the store had it after the blob was there; None if it had no such job.

    No clock decides: only the attempt that runs under a fence can settle what it put there,
    and a job's fence never goes back.
    """
    match job:
        case None:
            return False  # a blob is put for a job that runs; only what has ended is deleted
        case Job(state=State.RUNNING) if job.fence == fence:
            return True
        case Job() if job.fence < fence:
            return True  # a store from before: its job may come to this fence again
    return _refers(job.result, fence)


def _refers(result: bytes | None, fence: int) -> bool:
    if result is None or not is_reference(result):
        return False
    try:
        return reference_in(result).fence == fence
    except msgspec.DecodeError:
        return True  # who can read it may know
