"""Removes what a Test launched when the Test dies without having done so itself, by SIGKILL for one.

A small process of its own session waits for the end of its stdin, which the kernel brings about whichever way the Test
ends. It is told `done` before that where nothing is left to do.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dockyard.engine.dialect import dialect_of
from dockyard.engine.engine import Engine
from dockyard.engine.models import RUN_LABEL

DONE = b"done"
LATE = 2.0  # seconds in which a launch that was under way may still bring a container


@contextmanager
def reaper(engine: Engine, run: str) -> Iterator[Callable[[], None]]:
    """Have the containers of a run removed, unless what is yielded has been called: then nothing is left to do."""
    argv = (sys.executable, "-m", "dockyard.reaper", engine.program, run)
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as child:
        yield lambda: _tell(child)


def _tell(child: subprocess.Popen[bytes]) -> None:
    child.communicate(DONE)


def remove_run(engine: Engine, run: str) -> int:
    """Remove the containers of a run, and return how many there were."""
    containers = engine.all_containers(f"label={RUN_LABEL}={run}", stopped=True)
    for container in containers:
        engine.remove(container.id, with_volumes=True)
    return len(containers)


def main(program: str, run: str) -> None:
    """Wait for the end, and remove what is left."""
    if sys.stdin.buffer.read() == DONE:
        return
    engine = Engine(program, dialect_of(program))
    if not remove_run(engine, run):
        time.sleep(LATE)
        remove_run(engine, run)


if __name__ == "__main__":
    main(*sys.argv[1:])
