"""scripts/engine, where the engine gives up at once."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.mark.skipif(os.geteuid() != 0, reason="starting an engine takes root")
@pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="systemd starts the engine")
@pytest.mark.parametrize(
    ("last", "told"),
    [
        ("failed to start daemon: no devices", ["error: the engine does not answer: no devices"]),
        ("panic: oh", ["level=info all is well", "panic: oh", "error: the engine does not answer"]),
    ],
)
def test_why_an_engine_gave_up_is_told_alone(tmp_path: Path, last: str, told: list[str]):
    """Where dockerd says why, that is the message; else the end of all that it said comes first."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, script in {"docker": "exit 1", "dockerd": f"echo level=info all is well; echo '{last}'; exit 1"}.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    shutil.copytree(SCRIPTS, tmp_path / "scripts")
    environment = {"PATH": f"{programs}:/usr/bin:/bin"}
    argv = (tmp_path / "scripts/engine", "start")
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [*told, f"  hint: its whole output is in {tmp_path}/.state/dockerd.log"]
