"""``windlass worker --health``: what it answers, also when user code blocks its event loop."""

import json
import socket
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.cli_worker.commands import JOBS, Command, Site, eventually
from windlass.model.jobs import JobRequest

BLOCKING = f"""{JOBS}

app.settings = __import__("dataclasses").replace(
    app.settings, stall_limit_s=1.0, blocked_warning_s=0.5
)

@app.task(name="block")
async def block(seconds: float) -> None:
    time.sleep(seconds)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def asked(port: int, what: str) -> tuple[int, dict[str, Any]]:
    """Return status and document; 0 while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/{what}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except OSError:
        return 0, {}


def ready_worker(site: Site, *options: str) -> tuple[Command, int]:
    port = free_port()
    worker = site.worker("--health", str(port), *options)
    assert eventually(lambda: asked(port, "ready")[0] == 200), worker.output
    return worker, port


def test_a_worker_is_live_at_once_and_ready_when_it_holds_its_lease(site: Site) -> None:
    worker, port = ready_worker(site)

    assert asked(port, "ready") == (200, {"ready": True, "reasons": []})
    assert asked(port, "live") == (200, {"live": True, "reasons": []})
    assert site.worker_pids() == {worker.process.pid}
    assert worker.stop() == 0, worker.output
    assert asked(port, "live") == (0, {})


def test_a_worker_whose_event_loop_is_blocked_says_so(site: Site) -> None:
    site.write(BLOCKING)
    worker, port = ready_worker(site)
    request = JobRequest(
        id=site.app.new_job_id(), task="block", queue="default", payload=b'{"seconds":4.0}'
    )
    site.app.enqueue_requests([request])
    assert eventually(lambda: asked(port, "live")[0] == 503), worker.output
    [reason] = asked(port, "live")[1]["reasons"]

    assert reason.startswith("the event loop has not moved for")
    assert worker.says("time.sleep(seconds)"), worker.output
    assert eventually(lambda: asked(port, "live")[0] == 200), worker.output
    assert worker.output.count("has been blocked for") == 1


def test_the_supervisor_speaks_for_all_its_workers(site: Site) -> None:
    site.write(BLOCKING)
    parent, port = ready_worker(site, "--processes", "2")
    assert len(site.worker_pids()) == 2
    request = JobRequest(
        id=site.app.new_job_id(), task="block", queue="default", payload=b'{"seconds":4.0}'
    )
    site.app.enqueue_requests([request])
    assert eventually(lambda: asked(port, "live")[0] == 503), parent.output
    [reason] = asked(port, "live")[1]["reasons"]

    assert reason.startswith("worker ")
    assert "): the event loop has not moved for" in reason
    assert asked(port, "ready")[0] == 503
    assert eventually(lambda: asked(port, "ready")[0] == 200), parent.output
    assert parent.stop() == 0, parent.output


@pytest.mark.parametrize("processes", ["1", "2"])
def test_an_address_that_is_taken_ends_the_start_with_code_2(site: Site, processes: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        worker = site.worker("--health", f"127.0.0.1:{port}", "--processes", processes)

        assert worker.process.wait(20) == 2, worker.output
    assert f"cannot listen at 127.0.0.1:{port}" in worker.output
    assert "Traceback" not in worker.output
