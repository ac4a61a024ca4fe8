"""A user's calls, as strict type checkers read them: each wrong one is reported, no other."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).with_name("user_project.py")
REPORT = re.compile(r"^.*?:(\d+): error: .*\[([\w-]+)\]$", re.MULTILINE)
MARK = re.compile(r"# error: ([\w-]+)$")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project away from this repository's own settings."""
    file = tmp_path / "project.py"
    file.write_text(PROJECT.read_text())
    return file


def marked() -> dict[int, str]:
    lines = PROJECT.read_text().splitlines()
    return {n: found[1] for n, line in enumerate(lines, 1) if (found := MARK.search(line))}


def test_there_are_wrong_calls_to_report() -> None:
    assert len(marked()) > 10


def test_mypy_reports_every_wrong_call_and_no_other(project: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", project.name]
    told = subprocess.run(command, cwd=project.parent, capture_output=True, text=True, check=False)

    reported = {int(line): code for line, code in REPORT.findall(told.stdout)}
    assert reported == marked(), told.stdout + told.stderr


def test_pyright_reports_every_wrong_call_and_no_other(project: Path) -> None:
    settings = {"typeCheckingMode": "strict", "pythonVersion": "3.11"}
    (project.parent / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    told = subprocess.run(command, cwd=project.parent, capture_output=True, text=True, check=False)

    reports = json.loads(told.stdout)["generalDiagnostics"]
    lines = {each["range"]["start"]["line"] + 1 for each in reports}
    assert lines == marked().keys(), told.stdout + told.stderr
