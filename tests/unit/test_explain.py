"""What `d-run --explain` says beside the settings."""

import pytest

from dockyard.cli.explain import explained_open_files


@pytest.mark.parametrize("flags", [(), ("--ulimit", "nproc=5"), ("--env", "nofile=3")])
def test_inherited_limit_of_open_files_is_shown(flags: tuple[str, ...]) -> None:
    (row,) = explained_open_files(flags, 1024)
    assert (row["key"], row["value"]) == ("open files", "1024")


@pytest.mark.parametrize("flags", [("--ulimit", "nofile=64000"), ("--ulimit=nofile=1:2",)])
def test_limit_that_is_set_is_a_setting(flags: tuple[str, ...]) -> None:
    assert explained_open_files(flags, 1024) == []


def test_limit_that_is_not_known_is_not_shown() -> None:
    assert explained_open_files((), None) == []
