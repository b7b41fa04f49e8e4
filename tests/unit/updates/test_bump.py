"""Newer versions in a service's files: tried first, and taken back without losing what the owner wrote."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dockyard.errors import DockyardError
from dockyard.registry.reference import parse_reference
from dockyard.service import Service
from dockyard.updates.base import DOCKERFILE, Base
from dockyard.updates.bump import NotReadyError, Tried, bump, commit_message, plan_changes, subject_of, take_back
from dockyard.updates.collecting import find_untested
from dockyard.updates.pending import Pending
from dockyard.updates.sightings import Sighting

BEFORE, AFTER = "FROM pg:16.4 # mine\nRUN true\n", "FROM pg:16.5 # mine\nRUN true\n"


def update(name: str = "pg:16.4", tag: str = "16.5") -> Pending:
    """Return an update of an image."""
    base = Base("db", name, parse_reference(name), DOCKERFILE, frozenset(), f"sha256:{'1' * 64}")
    return Pending(base, "minor", tag, Sighting(f"sha256:{'2' * 64}", 0.0), base.reference.tag, tag, notes="https://x")


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    """A service that is in no repository."""
    monkeypatch.setattr("dockyard.updates.bump.state_directory", lambda: tmp_path / "state")
    (tmp_path / "db").mkdir()
    (tmp_path / "db/Dockerfile").write_text(BEFORE)
    (tmp_path / "db/Dockerfile").chmod(0o640)
    return Service(tmp_path / "db")


def attempt(passes: bool = True, then: Callable[[Path], object] = lambda _: None) -> Callable[[Service], Tried]:
    """Return what tries a service, and sees the new text."""

    def carry_out(service: Service) -> Tried:
        path = service.directory / DOCKERFILE
        assert path.read_text() == AFTER
        then(path)
        if not passes:
            raise DockyardError("db: Test ended with exit code 1")
        return Tried("1" * 64, ("changed: 2 files",), 1.25)

    return carry_out


def text_of(service: Service) -> str:
    """Return its Dockerfile."""
    return (service.directory / DOCKERFILE).read_text()


def test_outside_of_git_a_file_is_changed_and_can_be_taken_back(db: Service) -> None:
    """Its mode stays, and so does everything else in it."""
    done = bump(db, [update()], (), attempt())
    assert (text_of(db), done.commit, done.subject) == (AFTER, "", "db: pg 16.4 → 16.5")
    assert (db.directory / DOCKERFILE).stat().st_mode & 0o777 == 0o640
    take_back(db, "", "")
    assert text_of(db) == BEFORE


def test_what_fails_leaves_the_file_as_it_was(db: Service) -> None:
    """The error is that of the Test."""
    with pytest.raises(DockyardError, match="exit code 1"):
        bump(db, [update()], (), attempt(passes=False))
    assert text_of(db) == BEFORE


def test_what_the_owner_writes_in_the_meantime_is_not_lost(db: Service) -> None:
    """Neither if the attempt fails, nor if it is taken back later."""
    with pytest.raises(DockyardError, match="exit code 1"):
        bump(db, [update()], (), attempt(passes=False, then=lambda path: path.write_text("FROM mine\n")))
    assert text_of(db) == "FROM mine\n"
    take_back(db, "", "")
    assert text_of(db) == "FROM mine\n"


def test_what_cannot_be_changed_says_where_and_what_to_do(db: Service) -> None:
    """A symbolic link, and a reference that comes from a variable in two places."""
    (db.directory / DOCKERFILE).write_text("ARG V=16.4\nFROM pg:${V}\nENV V=$V\nFROM pg:${V}-alpine\n")
    with pytest.raises(NotReadyError) as refused:
        plan_changes(db, [update("pg:16.4-alpine", "16.5-alpine")], ())
    assert str(refused.value).startswith(f"{db.directory}/Dockerfile:4: ")
    assert refused.value.hint
    (db.directory / DOCKERFILE).unlink()
    (db.directory / DOCKERFILE).symlink_to("/etc/hostname")
    with pytest.raises(NotReadyError, match="symbolic link"):
        plan_changes(db, [update()], ())


def test_a_commit_says_what_changes_and_how_the_test_went() -> None:
    """The subject has at most 72 characters, however many images there are."""
    message = commit_message("db", [update()], Tried("1" * 64, ("changed: 2 files",), 1.25))
    assert message.splitlines() == [
        "db: pg 16.4 → 16.5",
        "",
        "pg 16.4 → 16.5",
        f"  from sha256:{'1' * 64}",
        f"  to   sha256:{'2' * 64}",
        "  notes: https://x",
        "changed: 2 files",
        "Test: passed in 1.2 s",
    ]
    many = [update(f"registry.example:5000/team/{name}:16.4") for name in ("database", "cache", "proxy")]
    assert subject_of("db", many).endswith(" and 2 more")
    assert len(subject_of("db", many)) <= 72


@pytest.mark.parametrize(
    ("untested", "expected"),
    [(set(), ""), ({"app"}, "app"), ({"os"}, ""), ({"base", "os"}, ""), ({"web"}, "web")],
)
def test_an_update_is_gated_by_the_tests_of_what_is_built_from_it(untested: set[str], expected: str) -> None:
    """Os ← base ← app, web: those that nothing is built from are where it goes live."""
    depends = {"base": {"os"}, "app": {"base"}, "web": {"base"}}
    assert find_untested("os", depends, untested) == expected
    assert find_untested("other", depends, {"other"}) == "other"
