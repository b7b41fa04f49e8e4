"""However a Test or a start ends, what explains it is in the output and in `d why`: reason, state and log.

    DOCKYARD_TEST_ENDS=500 pytest tests/engines/test_reasons.py --long -k every_end

runs as many Tests, some at once, while two processes keep the processors busy.
"""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dockyard.directives import FIRST_LINE
from tests.engines.world import FROM_BASE, Record, World

AT_ONCE = 6
COUNT = int(os.environ.get("DOCKYARD_TEST_ENDS", "40"))
MARK = "the last words of the instance"
STAYS = f"trap 'exit 0' TERM; echo {MARK}; sleep 600 & wait"
ENDS = f"echo {MARK}; exit 3"


def shell(body: str) -> str:
    """Return a Test in shell; the instance has written its log before its body."""
    wait = f'until "$CONTAINER_ENGINE" logs "$CONTAINER_NAME" 2>&1 | grep -q "{MARK}"; do sleep 0.1; done'
    return f"#!/bin/sh\n{FIRST_LINE}\n{wait}\n{body}\n"


def python(body: str) -> str:
    """Return a Test in Python; `body` is that of its only test."""
    head = "#!/usr/bin/env dockyard-python\nimport os, signal\nfrom dockyard.testing import Container, main\n"
    wait = f"container.expect_log({MARK!r}, seconds=60)"
    inside = textwrap.indent(f"{wait}\n{body}", "    ")
    return f"{head}\ndef test_it(container: Container) -> None:\n{inside}\nmain()\n"


class End(NamedTuple):
    """A way to end: the Test, what the instance runs, and what is said of the Test and of the instance's state."""

    script: str
    reason: str
    state: str = "is running"
    command: str = STAYS
    settings: Mapping[str, Any] = {}
    flags: tuple[str, ...] = ()


KILL = '"$CONTAINER_ENGINE" kill "$CONTAINER_NAME" >/dev/null; "$CONTAINER_ENGINE" wait "$CONTAINER_NAME" >/dev/null'
UNHEALTHY = {"healthcheck": {"cmd": "echo no database; false", "interval": "1s", "retries": 2}}
ALL = {
    "shell ends": End(shell("exit 7"), "exit code 7"),
    "shell is killed": End(shell("kill -KILL $$"), "exit code 137"),
    "shell kills who runs it": End(shell("kill -KILL $PPID"), "killed by signal 9"),
    "shell ends who runs it": End(shell("kill -TERM $PPID; sleep 60"), "exit code 143"),
    "shell in time": End(shell("sleep 600"), "timed out after", flags=("--timeout", "20")),
    "shell kills the instance": End(shell(f"{KILL}; exit 1"), "exit code 1", "exit code 137"),
    "assertion": End(python("assert container.name == 'other'"), "exit code 1"),
    "exception": End(python("raise OSError('gone')"), "exit code 1"),
    "expectation": End(python("container.expect_log('never said', seconds=0.1)"), "exit code 1"),
    "command inside": End(python("container.exec('false')"), "exit code 1"),
    "python is killed": End(python("os.kill(os.getpid(), signal.SIGKILL)"), "killed by signal 9"),
    "python ends": End(python("os._exit(9)"), "exit code 9"),
    "no test": End("#!/usr/bin/env dockyard-python\nfrom dockyard.testing import main\nmain()\n", "exit code 2"),
    "syntax": End(python("this is no python"), "exit code 1", state=""),  # nothing is launched
    "instance ends at once": End(shell("exit 1"), "exit code 1", "exit code 3", ENDS),
    "instance ends at once, python": End(python("container.wait_ready(60)"), "exit code 1", "exit code 3", ENDS),
    "instance ends later": End(
        python("container.expect_log('never said', seconds=60)"), "exit code 1", "exit code 3", f"sleep 1; {ENDS}"
    ),
    "instance is killed": End(
        python("os.kill(container.pid, signal.SIGKILL)\ncontainer.expect_log('never said', seconds=60)"),
        "exit code 1",
        "exit code 137",
    ),
    "unhealthy": End(python("container.wait_ready(600)"), "exit code 1", settings=UNHEALTHY),
}
QUICK = ("shell ends", "shell kills who runs it", "assertion", "instance ends at once")
LOG_MAY_BE_EMPTY = frozenset({"no test", "syntax"})
"""These may end before the instance has written anything."""


@contextmanager
def load(processes: int) -> Iterator[None]:
    """Keep processors busy."""
    with ExitStack() as stack:
        for _ in range(processes):
            busy = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(busy.kill)
        yield


def make(engine: World, end: End) -> Path:
    """Return a service whose Test ends so, built; the engine would restart it for ever."""
    settings = {"cmd": ["sh", "-c", end.command], "restart": "unless-stopped", "rm": False, **end.settings}
    service = engine.service(settings, dockerfile=FROM_BASE, files={"version": "1"}, scripts={"Test": end.script})
    engine.d_build(service)
    return service


def lacking(engine: World, service: Path, name: str, end: End) -> list[str]:
    """Run a Test and return what its output or its failure report lacks."""
    shown = engine.d("test", service.name, *end.flags, expect=None)
    files = json.loads(engine.d("why", "--json", service.name).stdout)["files"]
    found = []
    if not shown.exit_code:
        found.append("it passed")
    if end.reason not in shown.text or end.reason not in files.get("reason.txt", ""):
        found.append("reason")
    if end.state not in shown.text or end.state not in files.get("state-new.txt", ""):
        found.append("state")
    if (MARK not in shown.text or MARK not in files.get("log-new.txt", "")) and name not in LOG_MAY_BE_EMPTY:
        found.append("log")
    if "healthcheck" in end.settings and "no database" not in files.get("health-new.json", ""):
        found.append("health")
    return [f"{name}: lacks {what}: {shown.text}\n{files}" for what in found]


@pytest.mark.matrix
@pytest.mark.parametrize("name", QUICK)
def test_reasons_are_not_lost(engine: World, name: str) -> None:
    """The commonest ends: reason, state and log are in the output and in `d why`, and no instance is left."""
    service = make(engine, ALL[name])
    assert lacking(engine, service, name, ALL[name]) == []
    assert not engine.containers(f"test-{service.name}")


@pytest.mark.long("docker", "podman")
def test_every_end_under_load(engine: World, record_property: Record) -> None:
    """A Test may end in any way, as often as DOCKYARD_TEST_ENDS says: nothing is lacking."""
    services = {name: make(engine, end) for name, end in ALL.items()}

    def run(number: int) -> list[str]:
        """Run the Tests of every AT_ONCEth kind, as often as there are rounds."""
        mine = list(ALL.items())[number::AT_ONCE]
        rounds = -(-COUNT // len(ALL))
        return [
            line for _ in range(rounds) for name, end in mine for line in lacking(engine, services[name], name, end)
        ]

    with load(2), ThreadPoolExecutor(AT_ONCE) as threads:
        found = [line for lines in threads.map(run, range(AT_ONCE)) for line in lines]
    runs = -(-COUNT // len(ALL)) * len(ALL)
    record_property(
        "figure", f"{engine.engine}: {runs} Tests in {len(ALL)} ways under load, {len(found)} lack something"
    )
    assert found == []


def test_reason_of_a_failed_start(engine: World) -> None:
    """`d up` of a container that ends: its log and exit code are in `d why`, and so they are after `d up-all`."""
    settings = {"cmd": ["sh", "-c", ENDS], "image": "dytest/dyt-base:latest", "autostart": 1, "restart": "no"}
    service = engine.service(settings)
    for verb in (("up", service.name), ("up-all",)):
        engine.d(*verb, expect=1)
        files = json.loads(engine.d("why", "--json", service.name).stdout)["files"]
        assert "exit code 3" in files["reason.txt"]
        assert MARK in files["log-new.txt"]
        assert "exit code 3" in files["state-new.txt"]
        engine.call("rm", "-f", service.name)
    never = engine.service({**settings, "cmd": "/no/such/program"})
    engine.d("up", never.name, expect=1)
    assert "/no/such/program" in engine.d("why", never.name).stdout
