"""What ``module:attribute`` may name."""

import sys
from pathlib import Path

import pytest

from windlass.cli.target import load_app
from windlass.errors import AppNotFound

FRONT = """
from windlass import App


class Front:
    def __init__(self):
        self.windlass_app = App("sqlite:///here.db")


front = Front()
number = 3
"""


@pytest.fixture
def front_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fronted.py").write_text(FRONT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "fronted", raising=False)


@pytest.mark.usefixtures("front_project")
def test_a_front_end_stands_for_its_app() -> None:
    app = load_app("fronted:front")

    assert app is sys.modules["fronted"].front.windlass_app


@pytest.mark.usefixtures("front_project")
def test_a_front_end_is_what_may_have_been_meant() -> None:
    with pytest.raises(AppNotFound, match="did you mean fronted:front"):
        load_app("fronted:frnt")
