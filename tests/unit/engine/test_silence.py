"""An engine that does not answer: what is said, when, and what is ended."""

import shlex
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dockyard import process
from dockyard.engine import silence
from dockyard.engine.dialect import DOCKER, PODMAN, Dialect
from dockyard.engine.engine import Engine
from dockyard.errors import EngineUnreachableError

Fake = Callable[..., Engine]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SILENCE_SECONDS", 0.3)
    monkeypatch.setattr(silence, "PROBE_SECONDS", 0.3)
    monkeypatch.setattr(silence, "LAST_PROBE_SECONDS", 0.4)


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """Return what makes an engine of a shell script; what it is asked is written down."""

    def make(script: str, dialect: Dialect = DOCKER) -> Engine:
        program = tmp_path / dialect.name
        asked = shlex.quote(str(tmp_path / "asked"))
        program.write_text(f'#!/bin/sh\necho "$1" >>{asked}\ncd {shlex.quote(str(tmp_path))}\n{script}\n')
        program.chmod(0o755)
        return Engine(str(program), dialect)

    return make


DEADLOCKED = "exec sleep 60"
BUSY = "case $1 in info) echo 28.5.2;; *) exec sleep 60;; esac"


@pytest.mark.parametrize("verb", ["start", "create", "ps", "tag"])
def test_command_of_a_deadlocked_engine_ends(fake: Fake, verb: str, told: list[str]) -> None:
    """It says what it waited for, for how long, and what to do; exit code 3."""
    engine = fake(DEADLOCKED)
    before = time.monotonic()
    with pytest.raises(EngineUnreachableError) as error:
        engine.call(verb, "web")
    assert time.monotonic() - before < 10
    assert error.value.exit_code == 3
    assert error.value.lines()[0] == f"docker does not answer: `docker {verb}` has not been answered for 1 s"
    assert told == [
        f"warning: docker does not answer: `docker {verb}` has not been answered for 0.6 s; asking it once more"
    ]
    assert "service docker restart" in error.value.hint


def test_engine_that_is_slow_to_answer_is_not_taken_for_stuck(fake: Fake, told: list[str]) -> None:
    """A host under load: the first question is not answered in time, the second one is."""
    slow = "if [ -e once ]; then echo 28.5.2; else touch once; sleep 0.5; fi"
    assert fake(f"case $1 in info) {slow};; *) sleep 1.5; echo web;; esac").call("start", "web") == "web\n"
    assert len(told) == 1


def test_question_names_its_kind(fake: Fake) -> None:
    with pytest.raises(EngineUnreachableError, match="`docker container inspect` has not been answered"):
        fake(DEADLOCKED).containers(["web"])


def test_build_of_a_deadlocked_engine_ends(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    """What it wrote until then is shown; the client is ended with it."""
    engine = fake("case $1 in info) exec sleep 60;; esac; echo Step 1/3; exec sleep 61.5")
    with pytest.raises(EngineUnreachableError, match="`docker build` has not been answered"):
        engine.tee("build", ".")
    assert "Step 1/3" in capsys.readouterr().err
    assert process.capture(("pgrep", "-f", "^sleep 61.5")).stdout == ""


def test_slow_build_of_an_engine_that_answers_goes_on(fake: Fake, tmp_path: Path) -> None:
    """A step that writes nothing for long is asked about, and not ended."""
    engine = fake("case $1 in info) echo 28.5.2;; *) sleep 2; echo done;; esac")
    assert engine.tee("build", ".").output == "done\n"
    assert (tmp_path / "asked").read_text().split().count("info") >= 2


def test_build_that_writes_is_not_asked_about(fake: Fake, tmp_path: Path) -> None:
    engine = fake("case $1 in info) exec sleep 60;; *) for _ in 1 2 3 4 5 6 7 8 9; do echo .; sleep 0.1; done;; esac")
    assert engine.tee("build", ".").exit_code == 0
    assert (tmp_path / "asked").read_text().split() == ["build"]


def test_slow_start_of_an_engine_that_answers_goes_on(fake: Fake) -> None:
    engine = fake("case $1 in info) echo 28.5.2;; *) sleep 1.5; echo web;; esac")
    assert engine.call("start", "web") == "web\n"


def test_question_has_an_end_even_if_the_engine_answers_others(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dockyard.engine.engine.PATIENCE", 1)
    with pytest.raises(EngineUnreachableError, match="docker does not answer `ps` within 1 s"):
        fake(BUSY).call("ps", "--all")


def test_step_that_changes_production_is_waited_for(fake: Fake, told: list[str]) -> None:
    """The engine may still carry it out: it is not ended, and the user reads what goes on."""
    engine = fake("case $1 in info) exec sleep 60;; *) sleep 2; echo web.old;; esac")
    with silence.waiting():
        assert engine.call("stop", "web.old") == "web.old\n"
    assert told[0].startswith("warning: docker does not answer: `docker stop` has not been answered for 0.6 s; waiting")
    with pytest.raises(EngineUnreachableError):
        engine.call("stop", "web.old")


def test_command_on_the_terminal_is_not_ended(fake: Fake, told: list[str]) -> None:
    """What it shows is not known here: it may be at work. The user reads that the engine does not answer."""
    assert fake("case $1 in info) exec sleep 60;; *) sleep 2; exit 7;; esac").attach("run", "web") == 7
    assert told == ["warning: docker does not answer: `docker run` has not been answered for 0.6 s; Ctrl-C ends it"]
    assert fake("case $1 in info) echo 28;; *) sleep 1;; esac").attach("run", "web") == 0
    assert len(told) == 1


def test_podman_that_works_itself_is_not_taken_for_stuck(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds its storage while it writes a large layer, so that no other podman gets an answer."""
    for name in ("PROBE_SECONDS", "LAST_PROBE_SECONDS"):  # a busy machine writes less than once in a blink
        monkeypatch.setattr(silence, name, 2.0)
    works = "while [ $n -lt 25 ]; do n=$((n + 1)); head -c 100000 /dev/zero >file; sleep 0.1; done; echo done"
    engine = fake(f"n=0; case $1 in info) exec sleep 60;; *) {works};; esac", PODMAN)
    assert engine.call("build", ".") == "done\n"
    with pytest.raises(EngineUnreachableError, match="podman does not answer"):
        fake(DEADLOCKED, PODMAN).call("build", ".")
