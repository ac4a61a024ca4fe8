"""``windlass dev``: a change of the source is a new worker."""

import sys
from pathlib import Path

import psutil
import pytest

from tests.cli_worker.commands import JOBS, Site, eventually, is_alive
from windlass.cli.dev import dev
from windlass.errors import MissingExtra


def version(number: int) -> str:
    return f'{JOBS}\nprint("this is version {number}", flush=True)\n'


def test_each_change_starts_the_worker_again_also_after_a_mistake(site: Site) -> None:
    site.write(version(1))
    command = site.start("dev", "jobs:app", "--store", site.store_url)
    assert command.says("this is version 1"), command.output
    assert eventually(lambda: len(site.worker_pids()) == 1), command.output
    [first] = site.worker_pids()

    site.write(version(2))
    assert command.says("this is version 2"), command.output
    assert eventually(lambda: len(site.worker_pids() - {first}) == 1), command.output
    assert not psutil.pid_exists(first)

    site.write("def broken(:\n")
    assert command.says("waiting for a change"), command.output
    assert "SyntaxError" in command.output

    site.write(version(3))
    assert command.says("this is version 3"), command.output
    children = command.children()

    assert command.stop() == 0, command.output
    assert [child for child in children if is_alive(child)] == []


def test_without_watchfiles_the_error_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "watchfiles", None)

    with pytest.raises(MissingExtra, match=r"windlass\[reload\]"):
        dev("jobs:app")
