"""Headers: small texts that travel with a job."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.errors import PayloadTooLarge
from windlass.model.jobs import HEADERS_BYTES_MAX, JobId, JobRequest, headers_of

REQUEST = JobRequest(id=JobId("j"), task="t", queue="q", payload=b"{}")
TEXTS = st.text(st.characters(codec="utf-8"))


@given(st.dictionaries(TEXTS, TEXTS.filter(bool), max_size=5))
def test_headers_come_back_as_they_were(headers: dict[str, str]) -> None:
    assert headers_of(REQUEST.with_headers(headers).headers) == headers


def test_headers_are_laid_over_those_that_are_there() -> None:
    request = REQUEST.with_headers({"a": "1", "b": "2"}).with_headers({"b": "3", "a": ""})

    assert headers_of(request.headers) == {"b": "3"}
    assert request.with_headers({"b": ""}).headers is None


@pytest.mark.parametrize("encoded", [None, b"", b"[]", b'{"a":1}', b"\xff"])
def test_what_cannot_be_read_is_no_headers(encoded: bytes | None) -> None:
    assert headers_of(encoded) == {}


def test_headers_have_a_limit() -> None:
    with pytest.raises(PayloadTooLarge, match="the headers of task 't' take"):
        REQUEST.with_headers({"a": "x" * HEADERS_BYTES_MAX})
