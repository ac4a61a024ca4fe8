"""Every Python example in the documents runs as it stands, beside a real worker."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.servers import RedisServer
from windlass import cron
from windlass.errors import BadTrigger

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python(?P<info>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
# Each with its worker: none, one, or several.
PAGES: dict[str, str | tuple[str, ...] | None] = {
    "README.md": "jobs:app",
    "docs/celery-drain.md": ("shop:app", "parcels:app"),
    "docs/composition.md": "press:app",
    "docs/dags.md": "mill:app",
    "docs/django.md": None,  # it starts its worker itself
    "docs/fastapi.md": "parcels:app",
    "docs/flask.md": "work:app",
    "docs/from-cron-and-apscheduler.md": "night:app --scheduler",
    "docs/from-rq-and-arq.md": ("weather:app", "stations:app --scheduler"),
    "docs/from-qtasks.md": "shop:app",
    "docs/from-taskiq.md": "sorting:broker --scheduler",
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
    "docs/workflows.md": "shop:app",
}
# Pages whose blocks speak to a Redis too: which variable has its URL, and which database it is.
REDIS = {
    "docs/celery-drain.md": ("CELERY_BROKER_URL", 9),
    "docs/from-rq-and-arq.md": ("REDIS_URL", 11),
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


@pytest.fixture
def environment(page: str, request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment of a page's processes: no settings, and a Redis where it asks for one."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("WINDLASS_")}
    if page in REDIS:
        variable, database = REDIS[page]
        server: RedisServer = request.getfixturevalue("redis_server")
        env[variable] = server.url(database)
    return env


@contextmanager
def worker(arguments: str, folder: Path, env: dict[str, str]) -> Iterator[None]:
    with (folder / "worker.log").open("ab") as log:
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
def test_the_examples_of_a_page_run_as_they_stand(
    page: str, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(write_files(page, tmp_path))
    workers = PAGES[page] or ()
    with ExitStack() as running:
        for arguments in (workers,) if isinstance(workers, str) else workers:
            running.enter_context(worker(arguments, tmp_path, environment))
        done = subprocess.run(
            [sys.executable, "-W", "ignore::RuntimeWarning", "script.py"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    log = tmp_path / "worker.log"
    told = done.stdout + done.stderr
    assert done.returncode == 0, told + (log.read_text() if workers else "")


def test_every_page_with_examples_is_executed() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    with_examples = {str(p.relative_to(ROOT)) for p in pages if "```python" in p.read_text()}

    assert set(PAGES) == with_examples


def test_the_lines_of_the_crontab_in_the_guide_are_read_as_cron_reads_them() -> None:
    text = (ROOT / "docs/from-cron-and-apscheduler.md").read_text()
    [crontab] = re.findall(r"^```crontab\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [line for line in crontab.splitlines() if line and "=" not in line.split()[0]]
    times = [re.match(r"@\w+|(\S+\s+){4}\S+", line) for line in lines]
    refused = []
    for time in times:
        assert time is not None
        try:
            cron(time[0])
        except BadTrigger:
            refused.append(time[0])

    assert len(times) == 6
    assert refused == ["@reboot"]  # as the guide says
