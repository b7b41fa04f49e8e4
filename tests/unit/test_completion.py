"""Completion: asked by real shells, answered from the registry."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dockyard.cli.verb import VERBS
from dockyard.share import COMPLETIONS

PROGRAMS = Path(sys.executable).parent


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A host with two services and no engine."""
    for name in ("web", "wiki"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "settings.yaml").touch()
    return {**os.environ, "PATH": f"{PROGRAMS}:/usr/bin:/bin", "D_SRC_DIR": str(tmp_path), "DOCKER_EXEC": "/bin/false"}


def asked(environment: dict[str, str], program: str, *words: str) -> list[str]:
    """Return what a program says may follow."""
    argv = [str(PROGRAMS / program), "--complete", *words]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_words_come_from_the_tables(environment: dict[str, str]) -> None:
    """Verbs, services, flags of verbs and of programs, and nothing where it is for the shell to say."""
    assert set(VERBS) <= set(asked(environment, "d", ""))
    assert asked(environment, "d", "upgrade", "w") == ["web", "wiki"]
    assert asked(environment, "d", "pin", "web", "wi") == ["wiki"]
    assert asked(environment, "d", "u", "web", "--dr") == ["--dry-run"]
    assert asked(environment, "d", "completion", "z") == ["zsh"]
    assert asked(environment, "d-run", "--cd", "we") == ["web"]
    assert asked(environment, "d-build", "--aut") == ["--auto"]
    assert asked(environment, "d-run", "--name", "") == []
    assert asked(environment, "d", "no-such-verb", "") == []
    assert asked(environment, "d", "enter", "") == []
    assert asked(environment, "d-map", "--ver") == ["--version"]


SHELLS = {
    "bash": 'source "$1"; COMP_WORDS=(d upgrade w); COMP_CWORD=2; _dockyard d; printf "%s\\n" "${COMPREPLY[@]}"',
    "zsh": 'compdef() { :; }; compadd() { shift; print -l -- "$@"; }; _files() { :; }; source "$1"; '
    "words=(d upgrade w); CURRENT=3; _dockyard",
    "fish": 'source $argv[1]; complete -C "d upgrade w"',
}


@pytest.mark.parametrize("shell", SHELLS)
def test_shells_complete_services(environment: dict[str, str], shell: str) -> None:
    """Each shell, with the script that we print for it, offers the services that begin so."""
    if not shutil.which(shell, path=environment["PATH"]):
        pytest.skip(f"{shell} is not installed")
    script = ["--no-config", "-c", SHELLS[shell]] if shell == "fish" else ["-c", SHELLS[shell], shell]
    done = subprocess.run(
        [shell, *script, str(COMPLETIONS[shell])], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["web", "wiki"], done.stderr
