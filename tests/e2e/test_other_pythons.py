"""Most of the tests once more, under each other supported Python of this machine."""

import re
from pathlib import Path

import pytest

from tests.pythons import ENVIRONMENTS, OtherPythons

TIMEOUT_S = 900
PASSED = re.compile(r"^(\d+) passed", re.MULTILINE)


@pytest.mark.skipif(not ENVIRONMENTS, reason="no other Python is installed: make pythons says why")
@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: str(path.name))
def test_the_tests_pass_under_another_python(
    environment: Path, other_pythons: OtherPythons
) -> None:
    code, told = other_pythons.ended(environment, TIMEOUT_S)

    assert code == 0, told[-20_000:]
    passed = PASSED.search(told)
    assert passed is not None
    assert int(passed[1]) > 2_000, told[-300:]
