"""Write the results of a test run to a file: `--results FILE`, for the table of tested engines."""

import json
import os
import shutil
import subprocess
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.engines.world import PODMAN_CONFIGURATION


class Results:
    """Collect the outcome of each test, and write all of them at the end of the session.

    The messages of failures are written immediately, to FILE with the ending `.failures`.
    """

    def __init__(self, path: Path, engine: str, subset: str) -> None:
        self.path = path
        self.engine = engine
        self.subset = subset
        self.began = time.monotonic()
        self.passed: set[str] = set()
        self.failed: dict[str, str] = {}
        self.skipped: Counter[str] = Counter()
        self.corpora: list[dict[str, object]] = []
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.with_suffix(".failures").unlink(missing_ok=True)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test; one that fails in its setup or teardown has failed."""
        self.corpora += [value for name, value in report.user_properties if name == "corpus" and report.when == "call"]
        if report.failed:
            self.failed.setdefault(report.nodeid, _last_line(report))
            with self.path.with_suffix(".failures").open("a", encoding="utf-8") as file:
                file.write(f"==> {report.nodeid}\n{report.longreprtext}\n\n")
        elif report.skipped:
            self.skipped[_reason(report)] += 1
        elif report.when == "call":
            self.passed.add(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count a module that cannot be read as a failure."""
        if report.failed:
            self.failed[report.nodeid] = str(report.longrepr)[-200:]

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        found = {
            "engine": describe(self.engine),
            "subset": self.subset,
            "date": datetime.now(UTC).date().isoformat(),
            "seconds": round(time.monotonic() - self.began),
            "passed": len(self.passed - self.failed.keys()),
            "failed": self.failed,
            "skipped": dict(sorted(self.skipped.items())),
            "corpora": self.corpora,
        }
        self.path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return f"expected to fail: {report.wasxfail}" if hasattr(report, "wasxfail") else str(report.longrepr)


def _last_line(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return (crash.message if crash else str(report.longrepr))[:500]


# ------------------------------------------------------------------------------------------------------------- engines
def describe(engine: str) -> dict[str, str]:
    """Return the environment of the tests: system, engine, image store, builder, runtime, cgroup version."""
    system = next(
        line.partition("=")[2].strip('"')
        for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
        if line.startswith("PRETTY_NAME=")
    )
    found = {"docker": _docker, "podman": _podman}[engine]() if shutil.which(engine) else {}
    return {"system": system, "name": engine, **found}


def _docker() -> dict[str, str]:
    info = _asked("docker", "info", "--format", "{{json .}}")
    builds = subprocess.run(("docker", "buildx", "version"), capture_output=True, check=False)  # noqa: S607
    containerd = "containerd" in json.dumps(info.get("DriverStatus"))
    return {
        "version": _plain(info.get("ServerVersion")),
        "store": "containerd" if containerd else str(info.get("Driver")),
        "builder": "legacy" if builds.returncode else "BuildKit",
        "runtime": str(info.get("DefaultRuntime")),
        "cgroup": f"v{info.get('CgroupVersion', 1)}",
    }


def _podman() -> dict[str, str]:
    info = _asked("podman", "info", "--format", "json")
    host, store = info.get("host", {}), info.get("store", {})
    return {
        "version": _plain(info.get("version", {}).get("Version")),
        "store": str(store.get("graphDriverName")),
        "builder": "buildah",
        "runtime": str(host.get("ociRuntime", {}).get("name")),
        "cgroup": str(host.get("cgroupVersion")),
    }


def _plain(version: object) -> str:
    return str(version).partition("+")[0]


def _asked(*argv: str) -> dict[str, Any]:
    environment = {**os.environ, "CONTAINERS_CONF": str(PODMAN_CONFIGURATION)}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    found: dict[str, Any] = json.loads(done.stdout) if not done.returncode else {}
    return found
