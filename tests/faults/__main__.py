"""The long run: `python -m tests.faults ENGINE RANDOM-MOMENTS [SEED]`; exit code 1 if anything was wrong.

.venv/bin/python -m tests.faults docker 200
"""

import sys
import tempfile
from pathlib import Path

from tests.conftest import alone
from tests.engines.world import World
from tests.faults.harness import Outcome, Victim, every_step, random_moments


def main(engine: str, moments: int, seed: int) -> int:
    """Kill at every step, then at random moments; print each, and what was wrong in all."""
    wrong: list[Outcome] = []
    count = 0
    directory = tempfile.TemporaryDirectory(prefix="dytest-faults-", ignore_cleanup_errors=True)
    with alone(engine), directory as root:
        world = World(engine, Path(root))
        world.remove()
        try:
            world.make()
            victim = Victim(world)
            for outcomes in (every_step(victim), random_moments(victim, moments, seed)):
                for outcome in outcomes:
                    count += 1
                    print(f"{count:4} {outcome.what:60} {'; '.join(outcome.wrong) or 'ok'}", flush=True)
                    wrong += [outcome] if outcome.wrong else []
        finally:
            world.remove()
    print(f"{engine}: {count} faults, {len(wrong)} with something wrong afterwards (seed {seed})")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1))
