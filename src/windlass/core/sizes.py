"""Sizes of memory, as people write them."""

import re

from windlass.errors import BadOption

Size = int | str

_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_TEXT = re.compile(r"(\d+(?:\.\d+)?) *([KMGT]?)(?:i?B)?", re.IGNORECASE | re.ASCII)
SIZE_MAX = 2**62


def bytes_of(option: str, value: Size) -> int:
    """Return a size in bytes: a number, or a text such as "512MB".

    K, M, G and T are powers of 1,024, with or without B or iB after them.   Raises: BadOption.
    """
    if isinstance(value, str):
        match = _TEXT.fullmatch(value.strip())
        if match is None:
            raise BadOption(option, value, 'must be a number of bytes, or a text such as "512MB"')
        size = int(float(match[1]) * _UNITS[match[2].upper()])
    elif isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        raise BadOption(option, value, 'must be a number of bytes, or a text such as "512MB"')
    if not 0 < size <= SIZE_MAX:
        raise BadOption(option, value, "must be more than zero, and a size that machines have")
    return size


def size_text(size_bytes: int) -> str:
    """Return a size for people."""
    if size_bytes < _UNITS["M"]:
        return f"{size_bytes:,} bytes"
    return f"{size_bytes / _UNITS['M']:,.0f} MB"
