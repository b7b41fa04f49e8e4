"""How command lines are read: values that look like flags, and hints of where to begin."""

from pathlib import Path

import pytest

from dockyard.cli import d_build, d_run
from dockyard.cli.parser import Parser
from dockyard.cli.verbs import moving
from dockyard.errors import EngineUnreachableError, UsageError
from dockyard.moving.outcome import Command
from dockyard.settings.load import read_host
from dockyard.yard import Yard
from tests.unit.check.conftest import Answering


@pytest.mark.parametrize("value", ["--network-alias=redis", "--env=A=b", "--init", "-e A=b", "--x --y=z", "plain"])
def test_flags_of_the_engine_are_a_value(value: str) -> None:
    """As a word of their own, and after `=`."""
    for words in (["--extra-docker", value], [f"--extra-docker={value}"]):
        assert Parser("d-run", "", d_run.OPTIONS).read(words)["key_extra_docker"] == value


def test_flags_of_the_build_are_a_value() -> None:
    assert Parser("d-build", "", d_build.OPTIONS).read(["-b", "--no-cache"])["build_params"] == "--no-cache"


def test_a_missing_value_is_an_error() -> None:
    """Another option of the program is not a value of the one before it, nor is anything for other options."""
    for words in (["--extra-docker", "--print-cmd"], ["--extra-docker"], ["--cd", "--x"]):
        with pytest.raises(UsageError, match="expected one argument"):
            Parser("d-run", "", d_run.OPTIONS).read(words)


def test_a_host_file_that_does_not_exist_is_what_init_creates(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        read_host({"DOCKYARD_HOST": str(tmp_path / "host.yaml")})
    assert "create the file with `d init`" in error.value.hint


def test_import_proposes_networks_that_do_not_exist() -> None:
    """Those that exist would be refused by the engine; all are proposed if it does not answer."""
    commands = (
        Command("docker network create fleet", "a network", "fleet"),
        Command("docker network create new", "a network", "new"),
        Command("cp -a x y", "data"),
    )
    yard = Yard()
    yard.__dict__["engine"] = Answering()
    assert moving._needed(yard, commands) == commands[1:]  # noqa: SLF001

    class Silent(Answering):
        def networks(self, names: object) -> dict[str, object]:  # type: ignore[override] # noqa: ARG002
            raise EngineUnreachableError("docker does not answer")

    yard.__dict__["engine"] = Silent()
    assert moving._needed(yard, commands) == commands  # noqa: SLF001
