"""The manual pages: complete, and without a fault that man finds."""

import shutil
import subprocess
from pathlib import Path

import pytest

from dockyard.cli import d_build, d_cowscan, d_run
from dockyard.cli.manual import escaped, pages
from dockyard.cli.verb import VERBS
from dockyard.settings.keys import KEYS

PAGES = pages("1.0")


@pytest.mark.parametrize("name", PAGES)
def test_man_finds_no_fault(name: str, tmp_path: Path):
    """`man --warnings` shows each page and has nothing to say of it."""
    if not shutil.which("man"):
        pytest.skip("man is not installed")
    page = tmp_path / name
    page.write_text(PAGES[name], encoding="utf-8")
    argv = ["man", "--warnings", "--encoding=UTF-8", "--local-file", str(page)]
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, env={"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "SYNOPSIS" in done.stdout or name.endswith("5")


def test_every_verb_and_option_is_in():
    """Each verb with its short words, each flag of each program, each key of settings."""
    for verb in VERBS.values():
        assert escaped(", ".join([verb.name, *verb.aliases])) in PAGES["d.1"]
    for name, module in (("d-run", d_run), ("d-build", d_build), ("d-cowscan", d_cowscan)):
        for names, text, *_ in module.OPTIONS:
            assert text.startswith("==") or escaped(", ".join(names)) in PAGES[f"{name}.1"]
    assert [key for key in KEYS if escaped(key) not in PAGES["dockyard-settings.5"]] == []


def test_text_is_printed_as_it_is():
    r"""Nothing of a text is taken for a command: no dot at a line's begin, no backslash, no hyphen."""
    assert escaped(".so /etc/passwd\n'x \\fB --a `b-c`") == "\\&.so /etc/passwd\n\\&'x \\efB \\-\\-a \\fBb\\-c\\fR"
