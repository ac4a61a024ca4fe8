"""Every Python example in the documents runs as it stands, beside a real worker."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python(?P<info>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES: dict[str, str | None] = {
    "README.md": "jobs:app",
    "docs/composition.md": "press:app",
    "docs/django.md": None,  # it starts its worker itself
    "docs/fastapi.md": "parcels:app",
    "docs/flask.md": "work:app",
    "docs/from-celery.md": "all_of_it:app",
    "docs/limits.md": "mail:app",
    "docs/dependencies.md": "orders:app",
    "docs/middleware.md": "audit:app",
    "docs/operations.md": "office:app",
    "docs/results.md": "darkroom:app",
    "docs/schedules.md": "bakery:app --scheduler",
    "docs/serialization.md": "ledger:app",
    "docs/transactions.md": "depot:app",
    "docs/testing.md": None,  # it runs pytest itself
    "docs/triggers.md": None,  # values only: nothing to work on
    "docs/tutorial.md": "shop:app",
    "docs/worker.md": "studio:app",
}


def blocks(page: str) -> list[tuple[str, str]]:
    text = (ROOT / page).read_text()
    return [(m.group("info").strip(), m.group("code")) for m in BLOCK.finditer(text)]


def write_files(page: str, folder: Path) -> str:
    """Write the blocks that are files; return the others as one script."""
    script = []
    for info, code in blocks(page):
        if info.startswith("file="):
            (folder / info.removeprefix("file=")).write_text(code)
        else:
            script.append(code)
    return "\n".join(script)


@contextmanager
def worker(arguments: str, folder: Path) -> Iterator[None]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("WINDLASS_")}
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "windlass", "worker", *arguments.split()],
            cwd=folder,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run_as_they_stand(page: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(write_files(page, tmp_path))
    arguments = PAGES[page]
    with worker(arguments, tmp_path) if arguments else nullcontext():
        done = subprocess.run(
            [sys.executable, "-W", "ignore::RuntimeWarning", "script.py"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )

    log = tmp_path / "worker.log"
    assert done.returncode == 0, done.stderr + (log.read_text() if arguments else "")


def test_every_page_with_examples_is_executed() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    with_examples = {str(p.relative_to(ROOT)) for p in pages if "```python" in p.read_text()}

    assert set(PAGES) == with_examples
