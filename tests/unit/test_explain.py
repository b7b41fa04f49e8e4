"""What `d-run --explain` says beside the settings."""

import pytest

from dockyard.cli.explain import explained_open_files
from tests.unit.making import settings_of


@pytest.mark.parametrize("text", ["", "ulimits: nproc=5", "env: nofile=3", "extra_docker: --ulimit nproc=5"])
def test_inherited_limit_of_open_files_is_shown(text: str) -> None:
    (row,) = explained_open_files(settings_of(text), 1024)
    assert (row["key"], row["value"]) == ("open files", "1024")


@pytest.mark.parametrize("text", ["ulimits: [nofile=64000]", "extra_docker: --ulimit=nofile=1:2"])
def test_limit_that_is_set_is_a_setting(text: str) -> None:
    assert explained_open_files(settings_of(text), 1024) == []


def test_limit_that_is_not_known_is_not_shown() -> None:
    assert explained_open_files(settings_of(""), None) == []
