"""Directives count only for what was started by the process that gave them; Tests in shell ask their parent's id."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dockyard import directives
from dockyard.directives import FIRST_LINE, RUN, TESTER, TOKEN, directing
from dockyard.errors import UsageError

REPOSITORY = Path(__file__).parents[2]
ASK = f"from dockyard.directives import *; print(directive({RUN!r}))"


def ask(environment: dict[str, str], *before: str) -> subprocess.CompletedProcess[str]:
    """Have a child say what a directive is."""
    argv = [*before, sys.executable, "-c", ASK]
    return subprocess.run(argv, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def test_a_child_and_its_children_obey() -> None:
    """Through a shell that stays between them, too."""
    assert ask(directing({RUN: "one"})).stdout == "one\n"
    assert ask(directing({RUN: "one"}), "sh", "-c", '"$@"; exit $?', "sh").stdout == "one\n"
    assert ask({}).stdout == "\n"


@pytest.mark.parametrize("token", ["", "1", "1 0", "none", f"{os.getpid()} 1", f"{os.getpid()}"])
def test_a_directive_of_another_is_refused(token: str) -> None:
    """One without a token, with a made-up one, or with that of a process that had the same id."""
    done = ask({RUN: "one", TOKEN: token})
    assert done.returncode == 1
    assert f"{RUN} is set in the environment, but not by the dockyard that started this program" in done.stderr


def test_a_directive_of_a_sibling_is_refused() -> None:
    """It was left in the environment by something that is up, and has not started us."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as sibling:
        try:
            token = directives._token(sibling.pid)  # noqa: SLF001 - as that one would have it
            assert ask({RUN: "one", TOKEN: token}).returncode == 1
        finally:
            sibling.kill()


FOREIGN = {"CONTAINER_NAME": "production", "CONTAINER_ENGINE": "docker", "CONTAINER_PORT_80": "1.2.3.4:80"}


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize(
    "foreign",
    [{}, FOREIGN, {**FOREIGN, TESTER: "process 1"}, {**FOREIGN, TESTER: "process 1", "PPID": "1"}],
    ids=["nothing", "facts", "an old process", "with its id"],
)
def test_a_foreign_environment_starts_no_test(shell: str, foreign: dict[str, str], tmp_path: Path) -> None:
    """The first line of a Test in shell asks for an instance, whatever there is in its environment."""
    launcher = tmp_path / "dockyard-python"
    launcher.write_text('#!/bin/sh\necho "launch $*"\n')
    launcher.chmod(0o755)
    script = tmp_path / "Test"
    script.write_text(f'{FIRST_LINE}\necho "tested $CONTAINER_NAME"\n')
    environment = {**os.environ, **foreign, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    shown = subprocess.run([shell, script, "-r"], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout == f"launch -m dockyard.testing {script} -r\n"
    ours = {**environment, TESTER: f"process {os.getpid()}", "CONTAINER_NAME": "test-web"}
    shown = subprocess.run([shell, script, "-r"], env=ours, capture_output=True, text=True, check=True)
    assert shown.stdout == "tested test-web\n"


def test_a_script_gets_no_foreign_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What others say of containers is replaced or left out; all else stays."""
    for name, value in {**FOREIGN, "CONTAINER_HOST": "unix:///podman", "LANG": "C"}.items():
        monkeypatch.setenv(name, value)
    given = directives.environment_of_script({"CONTAINER_NAME": "test-web"})
    assert given["CONTAINER_NAME"] == "test-web"
    assert given[TESTER] == f"process {os.getpid()}"
    assert not {"CONTAINER_ENGINE", "CONTAINER_PORT_80"} & set(given)
    assert given["CONTAINER_HOST"] == "unix:///podman"
    assert given["LANG"] == "C"


OLD = '[ "${CONTAINER_NAME-}" ] || exec dockyard-python -m dockyard.testing "$0" "$@"'


@pytest.mark.parametrize("line", [OLD, OLD.replace("${CONTAINER_NAME-}", "$CONTAINER_NAME")])
def test_an_old_script_is_refused(line: str, tmp_path: Path) -> None:
    """With the line to write instead, and where."""
    script = tmp_path / "Test"
    script.write_text(f"#!/bin/sh\n# for `-m dockyard.testing`\n{line}\necho tested\n")
    with pytest.raises(UsageError, match=r"Test:3: this line tests a variable") as refused:
        directives.refuse_old_script(script)
    assert FIRST_LINE in refused.value.hint


@pytest.mark.parametrize(
    "text", [f"#!/bin/sh\n{FIRST_LINE}\n", "#!/bin/sh\nexit 0\n", "from dockyard.testing import main\n"]
)
def test_other_scripts_are_not_refused(text: str, tmp_path: Path) -> None:
    """Those with today's line, those in Python, those that launch nothing; one that is missing fails elsewhere."""
    script = tmp_path / "Test"
    directives.refuse_old_script(script)
    script.write_text(text)
    directives.refuse_old_script(script)


def test_the_documentation_has_the_line() -> None:
    """As it is, to be copied."""
    page = (REPOSITORY / "docs/how-to/write-a-test.md").read_text(encoding="utf-8")
    assert f"    #!/bin/sh\n    {FIRST_LINE}\n" in page
