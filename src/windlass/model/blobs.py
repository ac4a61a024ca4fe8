"""Blobs: bytes that lie beside the store, and how the store refers to them."""

import msgspec


class Blob(msgspec.Struct, frozen=True):
    """A blob as a listing names it."""

    key: str
    size_bytes: int


class Reference(msgspec.Struct, frozen=True, array_like=True):
    """What stands in a job's row for a result that lies among the blobs.

    space:  the part of the blobs that belongs to the store: 16 hexadecimal digits.
    fence:  of the attempt that returned it; with the job's id it names the blob.
    sha256: of its bytes, hexadecimal.
    """

    space: str
    fence: int
    size_bytes: int
    sha256: str
