"""Addresses to listen at."""

from windlass.errors import BadOption

LOOPBACK = "127.0.0.1"
PORT_MAX = 65_535


def address_of(option: str, text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``, ``[IPV6]:PORT`` or ``PORT``, which means loopback.

    Port 0 lets the system choose one.   Raises: BadOption.
    """
    host, colon, port = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise BadOption(option, text, "write an IPv6 address in brackets: [::1]:8080")
    if colon and not host:
        raise BadOption(option, text, "names no host; write HOST:PORT, or PORT for loopback")
    if not (port.isascii() and port.isdigit()) or int(port) > PORT_MAX:
        raise BadOption(option, text, f"must be HOST:PORT or PORT, at most {PORT_MAX}")
    return host or LOOPBACK, int(port)
