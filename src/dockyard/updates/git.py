"""The git repository that a service's source is in: a worktree to try changes in, and commits on a branch.

Nothing of what the user works on is touched: a commit reaches the checkout by a fast-forward that git itself refuses if
it would overwrite anything.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from dockyard import process
from dockyard.errors import DockyardError
from dockyard.state_file import lock_file
from dockyard.updates.text_file import replace_text

TIMEOUT = 120.0  # seconds for a step of git: hooks of the user run in some
_UNATTENDED = {"GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true", "LC_ALL": "C"}
_OF_ANOTHER = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX")
_UNFINISHED = {
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "BISECT_LOG": "a bisection",
}
_SUBMODULE = "160000 "
_NO_REPOSITORY = "not a git repository"
_OTHER_OWNER = "dubious ownership"


class GitError(DockyardError):
    """Git refuses, or what it is to work on is not in order: that says nothing about what was to be committed."""


class Repository(NamedTuple):
    """A repository by the top directory of its checkout, without symlinks."""

    top: Path

    def call(self, *words: str, at: Path | None = None) -> str:
        """Run git and return its output. Raises GitError."""
        return _git(at or self.top, *words)

    @property
    def branch(self) -> str:
        """The branch that is checked out. Raises GitError if none is."""
        try:
            return self.call("symbolic-ref", "--quiet", "--short", "HEAD").strip()
        except GitError:
            raise GitError(
                f"{self.top}: no branch is checked out", hint="switch to a branch, or name one with --branch"
            ) from None

    def refuse_unfinished(self) -> None:
        """Raise GitError in the middle of a rebase, a merge or the like."""
        for name, what in _UNFINISHED.items():
            path = self.top / self.call("rev-parse", "--git-path", name).strip()
            if path.exists():
                raise GitError(f"{self.top}: the repository is in the middle of {what}", hint="finish it, or abort it")

    def refuse_changes(self, directory: Path) -> None:
        """Raise GitError if anything below a directory is not committed. What git ignores does not count."""
        changed = self.call("status", "--porcelain", "--untracked-files=all", "-z", "--", str(directory))
        names = [entry[3:] for entry in changed.split("\0") if entry]
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise GitError(f"{self.top / names[0]}{more}: not committed", hint="commit or revert it, and try again")

    def refuse_submodules(self, directory: Path) -> None:
        """Raise GitError for a submodule below a directory: a worktree has nothing in it."""
        entries = self.call("ls-files", "--stage", "-z", "--", str(directory)).split("\0")
        found = next((entry.partition("\t")[2] for entry in entries if entry.startswith(_SUBMODULE)), "")
        if found:
            raise GitError(
                f"{self.top / found}: a submodule, which a worktree does not contain", hint="change the file by hand"
            )

    def ignored_files(self, directory: Path) -> list[str]:
        """Return what git ignores below a directory, relative to the top: it is part of what is built."""
        found = self.call("ls-files", "--others", "--ignored", "--exclude-standard", "-z", "--", str(directory))
        return [name for name in found.split("\0") if name]

    @contextmanager
    def worktree(self, revision: str) -> Iterator[Path]:
        """Yield a checkout of a revision in a directory of its own, on no branch, and remove it after the block."""
        with tempfile.TemporaryDirectory(prefix="dockyard-worktree-", ignore_cleanup_errors=True) as above:
            place = Path(above, "tree")
            self.call("worktree", "prune")
            self.call("worktree", "add", "--quiet", "--detach", str(place), revision)
            try:
                yield place
            finally:
                self.call("worktree", "remove", "--force", str(place))

    def commit(self, branch: str, files: Iterable[tuple[str, str, str]], message: str) -> str:
        """Add one commit to a branch that changes files, each given as path, old text and new text; return its id.

        A branch that does not exist begins at what is checked out. Raises GitError if a file has another text on
        that branch, or if the branch cannot be moved.
        """
        every = list(files)
        with self._locked():
            reference = f"refs/heads/{branch}"
            begin = self._resolve(reference) or self._resolve("HEAD")
            with self.worktree(begin) as tree:
                for name, old, new in every:
                    _change_file(tree, name, old, new)
                self.call("add", "--", *(name for name, _, _ in every), at=tree)
                self.call(*_identity(self), "commit", "--quiet", "--message", message, at=tree)
                made = self.call("rev-parse", "HEAD", at=tree).strip()
            self._move(branch, made, begin)
        return made

    def revert(self, commit: str, subject: str) -> None:
        """Add a commit to the current branch that undoes an earlier one. Raises GitError."""
        with self._locked():
            branch, begin = self.branch, self._resolve("HEAD")
            with self.worktree(begin) as tree:
                self.call(*_identity(self), "revert", "--no-commit", commit, at=tree)
                self.call(*_identity(self), "commit", "--quiet", "--message", subject, at=tree)
                made = self.call("rev-parse", "HEAD", at=tree).strip()
            self._move(branch, made, begin)

    def _resolve(self, name: str) -> str:
        done = _run(self.top, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        return done.stdout.strip() if not done.exit_code else ""

    def _move(self, branch: str, made: str, begin: str) -> None:
        """Have a branch name a new commit; if it is checked out, the checkout follows, and overwrites nothing."""
        head = _run(self.top, "symbolic-ref", "--quiet", "--short", "HEAD").stdout.strip()
        if head == branch:
            self.call("merge", "--quiet", "--ff-only", made)
        else:
            self.call(
                "update-ref", f"refs/heads/{branch}", made, begin if self._resolve(f"refs/heads/{branch}") else ""
            )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock under which commands of dockyard change this repository, one at a time."""
        directory = self.top / self.call("rev-parse", "--git-common-dir").strip()
        try:
            descriptor = lock_file(directory / "dockyard.lock")
        except OSError as error:
            raise GitError(f"{directory}: {error.strerror}", hint="run this as the owner of the repository") from None
        try:
            yield
        finally:
            os.close(descriptor)


def find_repository(directory: Path) -> Repository | None:
    """Return the repository that a directory is in; None without one, or without git.

    Raises GitError for one that git refuses to use.
    """
    if not process.find("git"):
        return None
    done = _run(directory, "rev-parse", "--show-toplevel")
    if not done.exit_code:
        return Repository(Path(done.stdout.removesuffix("\n")))
    if _NO_REPOSITORY in done.stderr:
        return None
    if _OTHER_OWNER in done.stderr:
        owner = directory.stat().st_uid
        raise GitError(
            f"{directory}: git does not use a repository of another user (uid {owner})",
            hint=f"git config --global --add safe.directory {directory}, if you trust its hooks and configuration",
        )
    raise _refused(done, "rev-parse")


def _git(directory: Path, *words: str) -> str:
    done = _run(directory, *words)
    if done.exit_code:
        raise _refused(done, _verb(words))
    return done.stdout


def _run(directory: Path, *words: str) -> process.Done:
    # The variables that git hands to hooks would have it work on another repository than this.
    without = (word for name in _OF_ANOTHER for word in ("-u", name))
    command = ("env", *without, "git", "-C", str(directory), *words)
    try:
        return process.capture(command, extra_environment=_UNATTENDED, timeout=TIMEOUT)
    except TimeoutError:
        message = f"{directory}: git {_verb(words)} timed out after {TIMEOUT:g} s"
        raise GitError(message, hint="a hook may be waiting for input: run it by hand") from None
    except (OSError, ValueError) as error:
        message = f"{directory}: git {_verb(words)} could not be run: {error}"
        raise GitError(message, hint="apt install git") from None


def _verb(words: Iterable[str]) -> str:
    return next((word for word in words if not word.startswith("-") and "=" not in word), "")


def _refused(done: process.Done, verb: str) -> GitError:
    lines = [line for line in (done.stderr or done.stdout).strip().splitlines() if line.strip()]
    reason = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[-1] if lines else "")
    message = f"git {verb} failed with exit code {done.exit_code}: {reason}"
    return GitError(message, hint="check the repository with `git status`, then try again")


def _identity(repository: Repository) -> tuple[str, ...]:
    """Return the flags that give a commit an author, if the user has configured none."""
    import socket

    done = _run(repository.top, "config", "user.email")
    address = f"dockyard@{socket.gethostname()}"
    return () if done.stdout.strip() else ("-c", "user.name=dockyard", "-c", f"user.email={address}")


def _change_file(tree: Path, name: str, old: str, new: str) -> None:
    """Replace the text of a file in a worktree. Raises GitError if it has another one on that branch."""
    try:
        replace_text(tree / name, old, new)
    except DockyardError:
        raise GitError(f"{name}: it has changed on the branch in the meantime", hint="try again") from None
