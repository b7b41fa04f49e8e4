"""The table of the engine's flags, compared with the engine's own help."""

import re
import shutil
import subprocess

import pytest

from dockyard.plan.run_flags import OTHER_NAMES, SHORT, SWITCHES, VALUED
from tests.conftest import ENGINES
from tests.missing import missing

_LINE = re.compile(r"^ {2,6}(?:-(?P<letter>\w), )?--(?P<name>[\w-]+)(?: (?P<value>\S+))?(?: {2,}|$)")


@pytest.mark.parametrize("verb", ["run", "create"])
@pytest.mark.parametrize("engine", ENGINES)
def test_flags_of_the_engine_are_in_the_table(engine: str, verb: str):
    """A switch that is taken for a flag with a value hides what follows it, a port or a mount, and the reverse."""
    if not shutil.which(engine):
        missing(f"{engine} is not installed")
    help_text = subprocess.run([engine, verb, "--help"], capture_output=True, text=True, check=True).stdout
    found = [line for line in map(_LINE.match, help_text.splitlines()) if line]
    assert len(found) > 80, help_text
    for flag in found:
        name = OTHER_NAMES.get(flag["name"], flag["name"])
        assert name in (VALUED if flag["value"] else SWITCHES), flag[0]
        assert not flag["letter"] or SHORT[flag["letter"]] == name, flag[0]
