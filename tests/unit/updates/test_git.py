"""Commits to a repository that people work in: nothing of theirs is touched."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockyard.errors import DockyardError
from dockyard.updates.git import Repository, find_repository


def git(directory: Path, *words: str) -> str:
    """Run git as a user does."""
    done = subprocess.run(["/usr/bin/git", "-C", str(directory), *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """A repository with two services, and a user without a configuration."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    top = tmp_path / "fleet"
    for name in ("web", "db"):
        (top / name).mkdir(parents=True)
        (top / name / "Dockerfile").write_text(f"FROM {name}:1\n")
    git(tmp_path, "init", "-q", "-b", "main", str(top))
    git(top, "add", ".")
    git(top, "-c", "user.name=Ann", "-c", "user.email=ann@example.com", "commit", "-qm", "first")
    found = find_repository(top / "web")
    assert found == Repository(top)
    yield found
    assert git(top, "worktree", "list").count("\n") == 0, "no worktree is left"


def changed(repository: Repository, service: str = "web", branch: str = "main") -> str:
    """Commit a new version of a service."""
    old, new = f"FROM {service}:1\n", f"FROM {service}:2\n"
    return repository.commit(branch, [(f"{service}/Dockerfile", old, new)], f"{service}: {service} 1 → 2\n")


def test_a_commit_reaches_branch_and_checkout(repository: Repository) -> None:
    """It has one file, its author is dockyard where there is no other, and the checkout follows."""
    made = changed(repository)
    assert git(repository.top, "rev-parse", "main") == made
    assert (repository.top / "web/Dockerfile").read_text() == "FROM web:2\n"
    assert git(repository.top, "status", "--porcelain") == ""
    assert git(repository.top, "show", "--format=%an %s", "--name-only").split("\n") == [
        "dockyard web: web 1 → 2",
        "",
        "web/Dockerfile",
    ]


def test_what_the_user_works_on_stays_as_it_is(repository: Repository) -> None:
    """Changes of other files, in the index or not, are neither committed nor lost."""
    (repository.top / "db/Dockerfile").write_text("FROM db:mine\n")
    (repository.top / "db/new").write_text("new\n")
    git(repository.top, "add", "db/new")
    repository.refuse_changes(repository.top / "web")
    changed(repository)
    assert git(repository.top, "status", "--porcelain").splitlines() == ["M db/Dockerfile", "A  db/new"]
    assert (repository.top / "db/Dockerfile").read_text() == "FROM db:mine\n"


def test_a_file_that_is_not_committed_is_refused(repository: Repository) -> None:
    """Whether it is changed or new; what git ignores does not count."""
    (repository.top / ".gitignore").write_text("secret\n")
    (repository.top / "web/secret").write_text("s\n")
    repository.refuse_changes(repository.top / "web")
    assert repository.ignored_files(repository.top / "web") == ["web/secret"]
    (repository.top / "web/Dockerfile").write_text("FROM web:mine\n")
    with pytest.raises(DockyardError, match=r"web/Dockerfile: not committed"):
        repository.refuse_changes(repository.top / "web")


def test_another_branch_is_created_and_the_checkout_stays(repository: Repository) -> None:
    """Two commits on it follow each other."""
    changed(repository, "web", "bump")
    changed(repository, "db", "bump")
    assert git(repository.top, "log", "--format=%s", "main..bump").splitlines() == ["db: db 1 → 2", "web: web 1 → 2"]
    assert (repository.top / "web/Dockerfile").read_text() == "FROM web:1\n"


def test_a_file_that_changed_on_the_branch_is_refused(repository: Repository) -> None:
    """Somebody has committed in the meantime: nothing of that is lost."""
    changed(repository)
    before = git(repository.top, "rev-parse", "main")
    with pytest.raises(DockyardError, match="has changed on the branch"):
        changed(repository)
    assert git(repository.top, "rev-parse", "main") == before


def test_a_checkout_that_a_commit_would_overwrite_is_refused(repository: Repository) -> None:
    """The file is edited between the check and the commit: git itself keeps it, and the branch does not move."""
    (repository.top / "web/Dockerfile").write_text("FROM web:mine\n")
    before = git(repository.top, "rev-parse", "main")
    with pytest.raises(DockyardError, match="would be overwritten"):
        changed(repository)
    assert git(repository.top, "rev-parse", "main") == before
    assert (repository.top / "web/Dockerfile").read_text() == "FROM web:mine\n"


def test_a_commit_can_be_taken_back(repository: Repository) -> None:
    """By a second one, so that everything is as before, also where others have committed since."""
    made = changed(repository)
    changed(repository, "db")
    repository.revert(made, "web: take back web 1 → 2")
    assert (repository.top / "web/Dockerfile").read_text() == "FROM web:1\n"
    assert (repository.top / "db/Dockerfile").read_text() == "FROM db:2\n"
    assert git(repository.top, "log", "-1", "--format=%s") == "web: take back web 1 → 2"


@pytest.mark.parametrize("begin", [("rebase", "main", "side"), ("merge", "side"), ("cherry-pick", "side")])
def test_an_unfinished_operation_is_refused(repository: Repository, begin: tuple[str, ...]) -> None:
    """In the middle of a rebase, a merge or the like nothing is committed."""
    top = repository.top
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
    git(top, "switch", "-qc", "side")
    (top / "web/Dockerfile").write_text("FROM web:side\n")
    git(top, *who, "commit", "-qam", "side")
    git(top, "switch", "-q", "main")
    (top / "web/Dockerfile").write_text("FROM web:main\n")
    git(top, *who, "commit", "-qam", "main")
    subprocess.run(["/usr/bin/git", "-C", str(top), *who, *begin], check=False, capture_output=True)
    with pytest.raises(DockyardError, match=f"in the middle of a {begin[0]}"):
        repository.refuse_unfinished()


def test_without_a_branch_or_a_repository(repository: Repository, tmp_path: Path) -> None:
    """No branch is checked out: which one to commit on has to be said. No repository: that is no error."""
    git(repository.top, "checkout", "-q", "--detach")
    with pytest.raises(DockyardError, match="no branch is checked out"):
        _ = repository.branch
    assert find_repository(tmp_path) is None
