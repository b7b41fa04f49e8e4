"""What is written about tested engines is what the results say, and a run whose part fails, fails."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dockyard.docs import tested_engines
from tests.matrix import MATRIX
from tests.side_by_side import REPOSITORY, Part, sum_up

ENGINE = {
    "system": "Debian GNU/Linux forky/sid",
    "name": "docker",
    "version": "28.5.2",
    "store": "containerd",
    "builder": "BuildKit",
    "runtime": "runc",
    "cgroup": "v2",
}
RESULTS: dict[str, Any] = {
    "engine": ENGINE,
    "subset": "matrix",
    "date": "2026-01-02",
    "seconds": 7,
    "passed": 70,
    "failed": {"tests/engines/test_build.py::test_make[docker]": "assert 1 == 2"},
    "skipped": {"no controllers": 2, "no registry": 1},
    "corpora": [
        {"what": "running", "attacks": 81, "found": 80, "benign": 23, "alarms": 1},
        {"what": "stopped", "attacks": 9, "found": 9, "benign": 1, "alarms": 0},
    ],
}


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of results."""
    path = tmp_path / "record.json"
    path.write_text(json.dumps({"sid-containerd": RESULTS}))
    monkeypatch.setattr(tested_engines, "RECORD", path)
    return path


@pytest.mark.usefixtures("record")
def test_the_page_has_counts_corpora_reasons_and_failures():
    """Nothing that a run came to is left out."""
    page = tested_engines.tested_engines_page()
    facts = "| Debian unstable | Docker 28.5.2 | containerd | BuildKit | runc | v2 | subset | 70 | 1 | 3 | 2026-01-02 |"
    title = "Docker 28.5, containerd, BuildKit, cgroup v2 (Debian unstable)"
    assert facts in page
    assert f"| {title} | running | 80 of 81 | 1 of 23 |" in page
    assert f"| {title} | 2 | no controllers |" in page
    assert f"| {title} | `tests/engines/test_build.py::test_make[docker]` |" in page


@pytest.mark.usefixtures("record")
def test_the_readme_has_a_row_for_an_engine_and_stays_as_it_is_around_the_table():
    """Corpora are summed up; what is before and after the table does not change."""
    before = tested_engines.README.read_text(encoding="utf-8")
    after = tested_engines.readme()
    assert "| 70 | 1 | 3 | 89 of 90 | 1 of 24 |" in after
    for mark, side in ((tested_engines.BEGIN, 0), (tested_engines.END, 2)):
        assert before.partition(mark)[side] == after.partition(mark)[side]
        assert len(before.partition(mark)[side]) > 100


def _part(tmp_path: Path, name: str, results: dict[str, Any] | None) -> Part:
    path = tmp_path / f"{name}.json"
    if results:
        path.write_text(json.dumps(results))
    return Part(name, (), {}, path)


@pytest.mark.parametrize(
    ("results", "status", "expected"),
    [
        ({**RESULTS, "failed": {}}, 0, 0),
        (RESULTS, 1, 1),
        ({**RESULTS, "failed": {}}, 3, 1),  # an error of pytest itself
        (None, 2, 1),
        (None, 0, 1),  # it wrote no results
        (None, 5, 0),  # it had none of the tests that were asked for
    ],
)
def test_a_part_that_fails_is_a_failure_of_all(
    tmp_path: Path,
    results: dict[str, Any] | None,
    status: int,
    expected: int,
    capsys: pytest.CaptureFixture[str],
):
    """Whatever goes wrong in a part, the exit status says so; the last line has the sums, as pytest's."""
    parts = [_part(tmp_path, "good", {**RESULTS, "failed": {}}), _part(tmp_path, "other", results)]
    assert sum_up(parts, {"good": 0, "other": status}, 754.2) == expected
    last = capsys.readouterr().out.splitlines()[-1]
    assert " passed, " in last
    assert last.strip("= ").endswith("in 754.20s (0:12:34)")


def test_nothing_that_ran_is_a_failure(tmp_path: Path):
    """No part that had a test to run is not a success."""
    assert sum_up([_part(tmp_path, "other", None)], {"other": 5}, 1) == 1


def test_results_are_those_of_the_run(tmp_path: Path):
    """A test that fails, one that is skipped and one that passes but whose fixture does not end well are told apart."""
    tests = tmp_path / "test_some.py"
    tests.write_text(
        "import pytest\n"
        "@pytest.fixture\ndef broken():\n    yield\n    raise OSError\n"
        "def test_good(record_property): record_property('corpus', {'what': 'running'})\n"
        "def test_bad(): assert 1 == 2\n"
        "def test_skipped(): pytest.skip('no reason')\n"
        "def test_broken(broken): pass\n"
    )
    results = tmp_path / "results.json"
    argv = (sys.executable, "-m", "pytest", "-p", "tests.conftest", "--results", results, "-c", "/dev/null", tests)
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout
    found = json.loads(results.read_text())
    failed = {name.rpartition("::")[2] for name in found["failed"]}
    assert (found["passed"], failed, found["skipped"]) == (1, {"test_bad", "test_broken"}, {"no reason": 1})
    assert found["corpora"] == [{"what": "running"}]


def test_the_matrix_has_what_users_have():
    """Each Debian has both engines, docker both image stores, and podman both versions of control groups."""
    worlds = [engine for engine in MATRIX if engine.suite]
    assert {(engine.suite, engine.engine) for engine in worlds} == {
        (suite, engine) for suite in ("trixie", "sid") for engine in ("docker", "podman")
    }
    assert {engine.store for engine in worlds if engine.engine == "docker"} == {"overlay2", "containerd"}
    assert {engine.cgroup for engine in worlds if engine.engine == "podman"} == {"v1", "v2"}
