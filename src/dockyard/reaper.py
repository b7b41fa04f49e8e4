"""Remove what a Test launched if the Test dies without doing so itself, for example by SIGKILL.

A small process in its own session waits for the end of its stdin, which the kernel closes however the Test ends. It
receives `done` before that if nothing is left to do.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dockyard.engine.dialect import dialect_of
from dockyard.engine.engine import Engine
from dockyard.engine.models import RUN_LABEL, Container
from dockyard.evidence import save

DONE = b"done"
LATE = 2.0  # seconds in which a launch that was under way may still bring a container


@contextmanager
def reaper(engine: Engine, run: str, evidence: str = "") -> Iterator[Callable[[], None]]:
    """Have the containers of a run removed, unless what is yielded has been called: then nothing is left to do.

    `evidence` is a directory for what explains them.
    """
    argv = (sys.executable, "-m", "dockyard.reaper", engine.program, run, evidence)
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as child:
        yield lambda: _tell(child)


def _tell(child: subprocess.Popen[bytes]) -> None:
    child.communicate(DONE)


def containers_of(engine: Engine, run: str) -> list[Container]:
    """Return the containers of a run, up or not."""
    return engine.all_containers(f"label={RUN_LABEL}={run}", stopped=True)


def remove_run(engine: Engine, run: str, evidence: str = "") -> int:
    """Remove the containers of a run, and return how many there were; what explains them is saved in a directory."""
    containers = containers_of(engine, run)
    if evidence and containers:
        save(engine, [container.id for container in containers], evidence)
    for container in containers:
        engine.remove(container.id, with_volumes=True)
    return len(containers)


def main(program: str, run: str, evidence: str) -> None:
    """Wait for the end, and remove what is left."""
    if sys.stdin.buffer.read() == DONE:
        return
    engine = Engine(program, dialect_of(program))
    if not remove_run(engine, run, evidence):
        time.sleep(LATE)
        remove_run(engine, run, evidence)


if __name__ == "__main__":
    main(*sys.argv[1:])
