"""Run the long fault tests: `python -m tests.faults ENGINE RANDOM-MOMENTS [SEED]`; exit code 1 if anything was wrong.

.venv/bin/python -m tests.faults docker 200
.venv/bin/python -m tests.faults podman 50
.venv/bin/python -m tests.faults start-first 200
.venv/bin/python -m tests.faults killed

With `start-first` it is docker, and a service whose new container starts before the old one stops. With `killed` it is
a second Docker Engine that is killed, at every step, with a service of either kind.
"""

import sys
import tempfile
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from tests.conftest import alone
from tests.engines.remapped import remapped_engine
from tests.engines.world import World
from tests.faults.harness import ENGINE_HOWS, Outcome, Victim, every_step, random_moments


def main(engine: str, moments: int, seed: int, *, start_first: bool = False) -> int:
    """Kill at every step, then at random moments; print each outcome, and all errors."""
    directory = tempfile.TemporaryDirectory(prefix="dytest-faults-", ignore_cleanup_errors=True)
    with alone(engine), directory as root:
        world = World(engine, Path(root))
        world.remove()
        try:
            world.make()
            victim = Victim(world, start_first=start_first)
            return report(f"{engine}, seed {seed}", chain(every_step(victim), random_moments(victim, moments, seed)))
        finally:
            world.remove()


def main_killed() -> int:
    """Kill an engine at every step."""
    with remapped_engine() as world:
        victims = [Victim(world, further="up-all", start_first=first) for first in (False, True)]
        wrong = report("killed engine", chain(*(every_step(one, hows=ENGINE_HOWS) for one in victims)))
        print(f"the engine had to be started anew, as d told: {sum(one.restarts for one in victims)} times")
        return wrong


def report(what: str, outcomes: Iterable[Outcome]) -> int:
    """Print each outcome and all errors; returns the exit code."""
    wrong: list[Outcome] = []
    count = 0
    for count, outcome in enumerate(outcomes, 1):
        print(f"{count:4} {outcome.what:60} {'; '.join(outcome.wrong) or 'ok'}", flush=True)
        wrong += [outcome] if outcome.wrong else []
    print(f"{what}: {count} faults, {len(wrong)} with something wrong afterwards")
    return 1 if wrong or not count else 0


if __name__ == "__main__":
    engine, moments, seed = [*sys.argv[1:], *("docker", "200", "1")[len(sys.argv) - 1 :]]
    if engine == "killed":
        sys.exit(main_killed())
    first = engine == "start-first"
    sys.exit(main("docker" if first else engine, int(moments), int(seed), start_first=first))
