"""Addresses to listen at, as people write them."""

import pytest

from windlass.core.address import address_of
from windlass.errors import BadOption


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8080", ("127.0.0.1", 8080)),
        ("0.0.0.0:8080", ("0.0.0.0", 8080)),
        ("worker.local:0", ("worker.local", 0)),
        ("[::1]:8080", ("::1", 8080)),
    ],
)
def test_an_address_is_host_and_port_or_a_port_on_loopback(
    text: str, address: tuple[str, int]
) -> None:
    assert address_of("health", text) == address


@pytest.mark.parametrize("text", ["", "host", ":8080", "::1:8080", "host:65536", "host:-1", "1²"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadOption, match="health"):
        address_of("health", text)
