"""Builds with features of BuildKit and podman: secrets, caches, here-documents; and the output on a terminal."""

import functools
import hashlib
import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import pytest

from dockyard.masking import MASK
from tests.engines.world import BASE, LABEL, PROGRAMS, REPO, STATE, World, write

VALUE = "s3cr3t-of-the-build"
READS_SECRET = f"""\
FROM {BASE}
LABEL {LABEL}
RUN --mount=type=secret,id=token : {time.time_ns()}; cd /run/secrets; sha256sum token >/hash; cat token; sleep 1
"""


@functools.cache
def _buildkit_of(engine: str, world: World) -> Mapping[str, str]:
    if engine == "podman" or not world.run(engine, "buildx", "version", expect=None).exit_code:
        return {}
    scratch = world.root / "probe"
    write(scratch / "Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")
    switched_on = {"DOCKER_BUILDKIT": "1"}
    if world.run(engine, "build", str(scratch), env=switched_on, expect=None).exit_code:
        pytest.skip("docker has no BuildKit here: buildx is not installed, and the client has none of its own")
    return switched_on


@pytest.fixture
def buildkit(engine: World) -> Mapping[str, str]:
    """The variables with which the engine builds with BuildKit, or podman."""
    return _buildkit_of(engine.engine, engine)


def with_secret(engine: World, value: str = VALUE) -> Path:
    """Return a service whose Dockerfile reads a secret of `secret_command`."""
    write(engine.root / "secrets/web-token", value)
    write(engine.host_file, f"secret_command: cat {engine.root}/secrets/{{name}}\n")
    return engine.service("build_secrets: {token: web-token}\n", dockerfile=READS_SECRET)


class Watch:
    """Read the arguments of all processes during the block."""

    def __enter__(self) -> Self:
        self.seen: set[bytes] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.is_set():
            for place in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(place.read_bytes())
                except OSError:
                    continue
            time.sleep(0.05)


@pytest.mark.matrix
def test_a_secret_reaches_the_build_and_nothing_else(engine: World, buildkit: Mapping[str, str]) -> None:
    """A step can read it; no argument, output, dry run, history, image or file of ours contains it."""
    service = with_secret(engine)
    (drafts := engine.root / "drafts").mkdir()
    shown = engine.d("upgrade", "-n", service.name, env=buildkit, expect=None).text
    assert "--secret id=token,env=DOCKYARD_BUILD_SECRET_1" in shown
    with Watch() as watch:
        done = engine.d_build(service, env={**buildkit, "TMPDIR": str(drafts)})
    assert any(b"id=token,env=DOCKYARD_BUILD_SECRET_1" in line for line in watch.seen)
    assert MASK in done.stderr
    reference = f"{REPO}/{service.name}:latest"
    saved = engine.root / "image.tar"
    engine.call("save", "--output", str(saved), reference)
    everything = [shown, done.text, engine.call("history", "--no-trunc", reference), str(watch.seen)]
    assert not [text for text in everything if VALUE in text]
    assert VALUE.encode() not in saved.read_bytes()
    assert engine.in_image(reference, "cut -c1-64 /hash").strip() == hashlib.sha256(VALUE.encode()).hexdigest()
    assert not list(drafts.glob("dockyard-*"))
    assert not [place for place in drafts.rglob("*") if place.is_file() and VALUE.encode() in place.read_bytes()]


def test_names_of_secrets_belong_to_the_source(engine: World, buildkit: Mapping[str, str]) -> None:
    """Another value does not cause a build; another name does."""
    service = with_secret(engine)
    engine.d_build(service, env=buildkit)
    first = engine.tags(service.name)["latest"]
    write(engine.root / "secrets/web-token", "another value")
    assert "unchanged" in engine.d_build(service, env=buildkit).stderr
    write(engine.root / "secrets/other", "a third value")
    write(service / "settings.yaml", "build_secrets: token=other\n")
    assert "unchanged" not in engine.d_build(service, env=buildkit).stderr
    assert engine.tags(service.name)["latest"] != first


def test_a_failed_build_keeps_no_secret(engine: World, buildkit: Mapping[str, str]) -> None:
    """The output of `d why` is masked like that of the terminal."""
    service = with_secret(engine)
    write(service / "Dockerfile", READS_SECRET.replace("sleep 1", "exit 7"))
    done = engine.d_build(service, env=buildkit, expect=1)
    why = engine.d("why", service.name).stdout
    assert MASK in done.stderr
    assert MASK in why
    assert VALUE not in done.text + why
    kept = [path for path in (STATE / "services" / service.name).rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if VALUE.encode() in path.read_bytes()]


def test_without_the_secret_nothing_is_built(engine: World, buildkit: Mapping[str, str]) -> None:
    """If secret_command fails, that is the error; the engine is not called."""
    service = with_secret(engine)
    (engine.root / "secrets/web-token").unlink()
    assert "secret `web-token`" in engine.d_build(service, env=buildkit, expect=1).stderr
    assert engine.tags(service.name)["latest"] == ""


@pytest.mark.matrix
def test_the_legacy_builder_refuses_in_our_words(engine: World) -> None:
    """Features of BuildKit fail with a hint; nothing is tagged, and no deprecation notice is shown."""
    if engine.engine == "podman":
        pytest.skip("podman has one builder")
    service = with_secret(engine)
    done = engine.d_build(service, env={"DOCKER_BUILDKIT": "0"}, expect=1)
    assert "its build needs BuildKit" in done.stderr
    assert "unset DOCKER_BUILDKIT" in done.stderr
    assert "DEPRECATED" not in done.stderr
    assert VALUE not in done.text
    assert engine.tags(service.name)["latest"] == ""


FEATURES = (
    "\ufeff"
    rf"""# escape=`
ARG BASE
ARG TARGETARCH
FROM --platform=$BUILDPLATFORM ${{BASE:-{BASE}}} AS Made
RUN touch `
  # a remark
  /zero
RUN <<END
ls /zero >/one
: \
FROM no-such-image
END
COPY <<"FILE" /two
$not replaced
FILE
RUN --mount=type=cache,target=/cache date +%N >>/cache/times; wc -l </cache/times >/builds
FROM {BASE}
LABEL {LABEL}
RUN --mount=type=bind,from=dytest/dyt-other,target=/other cat /other/version >/three
COPY --from=MADE /one /two /builds /
"""
)


@pytest.mark.matrix
def test_what_buildkit_reads_we_read(engine: World, buildkit: Mapping[str, str]) -> None:
    """A byte order mark, another escape, defaults, names in any case, here-documents, caches, files of another image.

    A change of that other image builds again.
    """
    if engine.engine == "podman":
        pytest.skip("podman's builder takes names of stages as they are written, and 4.3 has no here-documents")
    if buildkit:
        pytest.skip("the BuildKit of Docker 20.10 has no here-documents")
    other = engine.plain("first", name="dyt-other")
    engine.d_build(other)
    service = engine.service("", dockerfile=FEATURES)
    engine.d_build(service, env=buildkit)
    reference = f"{REPO}/{service.name}:latest"
    assert engine.in_image(reference, "cat /one /two /three").split("\n") == [
        "/zero",
        "$not replaced",
        "first",
    ]
    assert "unchanged" in engine.d_build(service, env=buildkit).stderr
    write(other / "files/version", "second")
    engine.d_build(other)
    engine.d_build(service, env=buildkit)
    assert engine.in_image(reference, "cat /three") == "second"


def on_a_terminal(engine: World, *argv: str, env: Mapping[str, str]) -> tuple[int, str]:
    """Run d-build with a terminal as its stderr; returns its exit code and the terminal output."""
    master, slave = pty.openpty()
    environment = {**engine.environment, **env, "TERM": "xterm-256color", "COLUMNS": "100"}
    child = subprocess.Popen(
        [str(PROGRAMS / "d-build"), *argv],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=slave,
    )
    os.close(slave)
    found = b""
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # the last process has closed the terminal
            break
        if not chunk:
            break
        found += chunk
    os.close(master)
    return child.wait(), found.decode()


def _ticks(shown: str) -> int:
    """Return how many lines report that the noisy step has succeeded."""
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    return len(re.findall(r"✓ +\[[^\]\n]*\] RUN for n in", plain))


NOISY = f"FROM {BASE}\nLABEL {LABEL}\nRUN for n in 1 2 3 4 5 6; do echo noise $n; sleep 0.2; done{{end}}\n"


@pytest.mark.matrix
def test_a_terminal_shows_steps_and_the_log_of_a_failure(engine: World, buildkit: Mapping[str, str]) -> None:
    """A line for each step on success; the whole log on failure, and nothing condensed elsewhere."""
    service = engine.service("", dockerfile=NOISY.format(end=""))
    code, shown = on_a_terminal(engine, "--cd", str(service), env=buildkit)
    assert (code, _ticks(shown)) == (0, 1), shown
    assert "noise 6\r\n" not in shown.replace("\x1b[K", "")
    write(service / "Dockerfile", NOISY.format(end="; exit 9"))
    code, shown = on_a_terminal(engine, "--cd", str(service), env=buildkit)
    assert code == 1
    assert all(f"noise {number}" in shown for number in range(1, 7))
    assert "the build failed" in shown
    plain = engine.d_build(service, env=buildkit, expect=1).stderr
    assert "✓" not in plain
    assert "noise 6" in plain


def test_the_legacy_builder_is_condensed_without_its_notice(engine: World) -> None:
    """Its steps are shown like BuildKit's."""
    if engine.engine == "podman":
        pytest.skip("podman has one builder")
    service = engine.service("", dockerfile=NOISY.format(end=""))
    legacy = {"DOCKER_BUILDKIT": "0"}
    code, shown = on_a_terminal(engine, "--cd", str(service), env=legacy)
    assert code == 0, shown
    assert _ticks(shown) == 1, shown
    assert "DEPRECATED" not in shown
    assert "DEPRECATED" not in engine.d_build(service, "--build_params=--no-cache", env=legacy).stderr


def test_an_interrupt_ends_a_build_on_a_terminal(engine: World, buildkit: Mapping[str, str]) -> None:
    """Ctrl-C and --timeout end the build as without a terminal: no tag, container or client process is left."""
    slow = f"FROM {BASE}\nLABEL {LABEL}\nRUN echo begun; sleep 77\n"
    service = engine.service("", dockerfile=slow)
    script = (
        "import os, pty, signal, sys, threading\n"
        "threading.Timer(4, lambda: os.killpg(0, signal.SIGINT)).start()\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            script,
            "timeout",
            "--foreground",
            "--signal=INT",
            "3",
            PROGRAMS / "d-build",
            "--cd",
            service,
        ],
        env={**engine.environment, **buildkit, "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
        start_new_session=True,
    )
    assert done.returncode in {124, 130}, done.stdout
    assert engine.tags(service.name)["latest"] == ""
    assert not engine.run("pgrep", "-f", f"build --tag {REPO}/{service.name}", expect=None).stdout


def test_another_builder_in_use_changes_nothing(engine: World) -> None:
    """After `buildx create --use` builds still use the engine's builder; a named builder loads its image."""
    if engine.engine == "podman" or engine.run(engine.engine, "buildx", "version", expect=None).exit_code:
        pytest.skip("buildx is not installed")
    service = engine.plain()
    engine.call("buildx", "create", "--name", "dyt-builder", "--use")
    try:
        engine.d_build(service)
        first = engine.tags(service.name)["latest"]
        write(service / "files/version", "2")
        by_name = {"BUILDX_BUILDER": "default"}
        assert " --load " in engine.d("upgrade", "-n", service.name, env=by_name, expect=None).text
        engine.d_build(service, env=by_name)
    finally:
        engine.call("buildx", "rm", "dyt-builder")
    assert first
    assert engine.tags(service.name)["latest"] not in {"", first}
