"""The reference pages say what the code says."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import windlass

ROOT = Path(__file__).parents[2]
ALIASES = {"JobId", "Outcome", "Proceed"}  # other names of types have no place for a docstring
PAGES = ["states.md", "settings.md", "errors.md", "cli.md"]


def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES)
def test_a_reference_page_is_what_the_code_says(page: str) -> None:
    made = builder().PAGES[page]()

    assert made == (ROOT / "docs" / "reference" / page).read_text(), "run: make docs"


def test_every_setting_is_explained() -> None:
    for line in builder().settings_page().splitlines():
        if line.startswith("| `"):
            assert line.split("|")[4].strip(), f"no meaning: {line}"


def test_every_public_name_has_a_promise() -> None:
    for name in windlass.__all__:
        if name.startswith("__") or name in ALIASES:
            continue
        doc = getattr(windlass, name).__doc__ or ""

        assert doc.strip(), f"{name} has no docstring"


def test_every_kind_of_notice_is_explained() -> None:
    page = (ROOT / "docs" / "middleware.md").read_text()

    assert [kind for kind in windlass.NoticeKind if f"`{kind}`" not in page] == []
