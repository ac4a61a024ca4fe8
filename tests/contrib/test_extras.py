"""What each tie says where its library is not installed."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("tie", "library", "extra"),
    [
        ("opentelemetry", "opentelemetry", "traces"),
        ("prometheus", "prometheus_client", "metrics"),
        ("fastapi", "fastapi", "fastapi"),
        ("flask", "flask", "flask"),
        ("django", "django", "django"),
        ("sentry", "sentry_sdk", "sentry"),
        ("structlog", "structlog", "structlog"),
        ("celery.drain", "kombu", "celery"),
    ],
)
def test_without_the_library_the_error_names_the_extra(tie: str, library: str, extra: str) -> None:
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from windlass.errors import MissingExtra\n"
        f"try:\n    import windlass.contrib.{tie}\n"
        "except MissingExtra as error:\n    print(error)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert f"pip install 'windlass[{extra}]'" in told
