"""A container that swaps directories with links to the host's while what is below them is removed.

As a program it makes as many attempts as it is told to: `python -m tests.unit.scan.test_swaps 10000`.
"""

import hashlib
import itertools
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from dockyard.scan.layer import Change
from dockyard.scan.removal import remove
from tests.unit.scan.inside import Container

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")

DEPTHS = ("outer", "outer/middle", "outer/middle/inner")
FILES = 400  # in each directory, at a time
ATTEMPTS = 1200
BY_PATH = 1200


class Race(NamedTuple):
    """What became of attempts, by reason, and whether the host's directories are as they were."""

    outcomes: Counter[str]
    is_untouched: bool

    @property
    def is_real(self) -> bool:
        """Whether some attempts met a link, and others a directory."""
        return self.outcomes["undone"] > 0 and self.outcomes["its path contains a link now"] > 0


def _fill(top: Path) -> None:
    for depth in DEPTHS:
        (top / depth).mkdir(parents=True, exist_ok=True)
        for number in range(FILES):
            (top / depth / str(number)).write_text(f"of the host, {depth} {number}")


def _listing(top: Path) -> list[tuple[object, ...]]:
    found = []
    for path in sorted((top, *top.rglob("*"))):
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        facts = (status.st_ino, status.st_ctime_ns, status.st_mtime_ns, status.st_mode, status.st_uid, status.st_nlink)
        found.append((str(path), *facts, content))
    return found


def _prepare(container: Container, host: Path) -> tuple[tuple[str, str], ...]:
    """Make directories of new files inside, and links beside them that lead to the host's; return what to swap."""

    def build() -> None:
        for depth in DEPTHS:
            Path("/", depth).mkdir(exist_ok=True)
            for number in range(FILES):
                Path("/", depth, str(number)).touch()
            link = Path("/", f"{depth}-link")
            link.unlink(missing_ok=True)
            link.symlink_to(host / depth)

    container.do(build)
    return tuple((f"/{depth}", f"/{depth}-link") for depth in reversed(DEPTHS))


def _files(container: Container) -> list[Change]:
    found = [change for change in container.changes() if change.kind == "file"]
    return sorted(found, key=lambda change: (int(change.path.rpartition("/")[2]), change.path))


def race(container: Container, host: Path, attempts: int, at_once: int) -> Race:
    """Attempt to remove that many entries, so many in each removal, while their directories are swapped."""
    _fill(host)
    before = _listing(host)
    outcomes: Counter[str] = Counter()
    for number in itertools.count():
        if outcomes.total() >= attempts:
            break
        pairs = _prepare(container, host)
        # All at once, then each directory alone: the fewer are swapped, the more attempts get far.
        pairs = [pairs, *((pair,) for pair in pairs)][number % (len(pairs) + 1)]
        changes = _files(container)
        with container.swapping(*pairs):
            for start in range(0, len(changes), at_once):
                _attempt(container, changes[start : start + at_once], outcomes)
        _straighten(container)
    return Race(outcomes, _listing(host) == before)


def _attempt(container: Container, changes: list[Change], outcomes: Counter[str]) -> None:
    removed = remove("swaps", "0123", container.pid, container.place, changes, container.quarantine)
    outcomes["undone"] += len(removed.undone)
    outcomes.update(one.reason for one in removed.refused)


def _straighten(container: Container) -> None:
    """Have each directory be a directory again, after the swapping was ended at any time."""

    def straighten() -> None:
        for depth in DEPTHS:
            here, link = Path("/", depth), Path("/", f"{depth}-link")
            if here.is_symlink():
                here.rename("/aside")
                link.rename(here)
                Path("/aside").rename(link)

    container.do(straighten)


def lost_by_path(container: Container, host: Path) -> int:
    """Return how many of the host's files are lost where those of the upper directory are removed by their paths."""
    lost = 0
    for _ in range(20):
        _fill(host)
        before = len(_listing(host))
        pairs = _prepare(container, host)
        changes = _files(container)[:BY_PATH]
        with container.swapping(*pairs):
            for change in changes:
                with suppress(OSError):
                    Path(container.place.upper + change.path).unlink()
        _straighten(container)
        lost += before - len(_listing(host))
        if lost:
            break
    return lost


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    """A running container of an empty image."""
    (tmp_path / "container").mkdir()
    made = Container(tmp_path / "container")
    made.start()
    yield made
    made.stop()


def test_nothing_of_the_host_is_touched(container: Container, tmp_path: Path) -> None:
    """Whenever a directory becomes a link to the host's, nothing there is removed or changed."""
    result = race(container, tmp_path / "host", ATTEMPTS, at_once=5)
    assert result.is_real, result.outcomes
    assert result.is_untouched


def test_removing_by_path_loses_files_of_the_host(container: Container, tmp_path: Path) -> None:
    """The same swaps do harm whoever trusts paths: what the other test shows is no accident."""
    assert lost_by_path(container, tmp_path / "sacrificed") > 0


def main(attempts: int) -> bool:
    """Run both, and say what came of it; return whether all is as it should be."""
    with tempfile.TemporaryDirectory() as top:
        (Path(top) / "container").mkdir()
        container = Container(Path(top) / "container")
        container.start()
        try:
            result = race(container, Path(top) / "host", attempts, at_once=1)
            lost = lost_by_path(container, Path(top) / "sacrificed")
        finally:
            container.stop()
    sys.stdout.write(f"{result.outcomes.total()} attempts: {dict(result.outcomes)}\n")
    sys.stdout.write(f"the host's files are {'untouched' if result.is_untouched else 'TOUCHED'}\n")
    sys.stdout.write(f"by path: {lost} of {BY_PATH} removals took a file of the host\n")
    return result.is_untouched and result.is_real and lost > 0


if __name__ == "__main__":
    sys.exit(0 if main(int(sys.argv[1])) else 1)
