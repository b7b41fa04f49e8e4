"""Measure the start-up of `d help`, `d ls` and `d-run -t` as multiples of a bare `python -c pass`, in one run.

    .venv/bin/python bench/startup.py [ROUNDS]

Needs a running engine, and the image ktools/web:live (`make demo`) for d-run. Modules are compiled first, as in an
installation. Prints medians in ms, ratios to the bare interpreter's median, and the modules that each program imports.
"""

import compileall
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PROGRAMS = Path(sys.executable).parent
COMMANDS = {
    "python -c pass": (sys.executable, "-c", "pass"),
    "docker ps": ("docker", "ps"),
    "d help": (str(PROGRAMS / "d"), "help"),
    "d ls": (str(PROGRAMS / "d"), "ls"),
    "d-run -t": (str(PROGRAMS / "d-run"), "-t", "--cd", "web", "--name", "dockyard-bench"),
}
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
    "D_SRC_DIR": str(REPOSITORY / "examples"),
}


def milliseconds(command: tuple[str, ...]) -> float:
    """Run a command once; it must succeed."""
    began = time.perf_counter()
    subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True)
    return (time.perf_counter() - began) * 1000


def imported(command: tuple[str, ...]) -> set[str]:
    """Return the top-level modules that a program imports, and all modules of dockyard."""
    traced = subprocess.run(
        (sys.executable, "-X", "importtime", *command), env=ENVIRONMENT, check=True, capture_output=True, text=True
    )
    names = {line.rpartition("|")[2].strip() for line in traced.stderr.splitlines() if line.startswith("import time:")}
    return {name if name.startswith("dockyard") else name.partition(".")[0] for name in names}


def main(rounds: int) -> None:
    """Measure in turns, so that noise affects all alike, and print."""
    compileall.compile_dir(REPOSITORY / "src", quiet=2)
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            times[name].append(milliseconds(command))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name:16} {median:7.1f} ms  {median / medians['python -c pass']:5.2f} x")
    bare = imported(("-c", "pass"))
    for name in ("d help", "d-run -t"):
        found = sorted(imported(COMMANDS[name]) - bare)
        own = [module for module in found if module.startswith("dockyard")]
        print(f"\n{name} imports {len(found)} modules and packages that a bare interpreter does not:")
        print("  own:", " ".join(own))
        print("  other:", " ".join(module for module in found if module not in own))


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 21)
