"""A user's calls, as strict mypy reads them: right ones pass, each wrong one is reported."""

import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).with_name("user_project.py")
REPORT = re.compile(r"^.*?:(\d+): error: .*\[([\w-]+)\]$", re.MULTILINE)
MARK = re.compile(r"# error: ([\w-]+)$")


def test_mypy_reports_every_wrong_call_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "project.py"  # away from this repository's own settings
    file.write_text(PROJECT.read_text())
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", file.name]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    reported = {int(line): code for line, code in REPORT.findall(told.stdout)}
    lines = PROJECT.read_text().splitlines()
    marked = {n: found[1] for n, line in enumerate(lines, 1) if (found := MARK.search(line))}
    assert len(marked) > 10
    assert reported == marked, told.stdout + told.stderr
