"""Invalid settings files, each with the errors that are printed: tests/golden/wrong/NAME.yaml and NAME.txt."""

from pathlib import Path

import pytest

from dockyard.errors import SettingsError
from dockyard.settings.key import Scope
from dockyard.settings.load import read_file
from tests.unit.making import GOLDEN

FILES = sorted((GOLDEN / "wrong").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_all_that_is_wrong_with_a_file_is_told_at_once(file: Path):
    with pytest.raises(SettingsError) as error:
        read_file(file.read_text(encoding="utf-8"), "settings.yaml", Scope.SERVICE)
    assert error.value.lines() == file.with_suffix(".txt").read_text(encoding="utf-8").splitlines()


def test_every_wrong_file_has_its_expectation():
    assert {file.stem for file in FILES} == {file.stem for file in (GOLDEN / "wrong").glob("*.txt")}
    assert len(FILES) >= 10
