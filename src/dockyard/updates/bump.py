"""A newer version in a service's source: tried in a git worktree, and committed once it has passed the Test."""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dockyard.base_images import read_dockerfile
from dockyard.dockerfile import build_arguments
from dockyard.errors import DockyardError
from dockyard.secrets import state_directory
from dockyard.service import Service
from dockyard.state_file import write_file
from dockyard.updates.base import DOCKERFILE
from dockyard.updates.git import Repository, find_repository
from dockyard.updates.pins import change_image, change_reference, substitute_references
from dockyard.updates.text_file import read_text, replace_text

if TYPE_CHECKING:
    from dockyard.updates.pending import Pending

MAX_SUBJECT = 72
CHANGES = "changes.json"


class NotReadyError(DockyardError):
    """A service's source cannot be changed by dockyard: that says nothing about a newer version."""


class FileChange(NamedTuple):
    """A file of a service, and its text before and after."""

    file: str
    old: str
    new: str


class Tried(NamedTuple):
    """What a bump's candidate came to: its image, lines for the commit's body, and how long its Test took.

    `seconds` is None if there is no Test.
    """

    image: str
    lines: tuple[str, ...] = ()
    seconds: float | None = None


class Bumped(NamedTuple):
    """A newer version that is in the source now; `commit` is empty if there is no repository."""

    tried: Tried
    commit: str
    subject: str


Try = Callable[[Service], Tried]
"""Builds and tests a service in whatever directory it is. Raises DockyardError."""


def plan_changes(service: Service, updates: "Iterable[Pending]", parameters: Sequence[str]) -> list[FileChange]:
    """Return what updates change in a service's files. Raises NotReadyError for what cannot be changed."""
    texts: dict[str, tuple[str, str]] = {}
    arguments = build_arguments(parameters)
    for update in updates:
        name = update.base.file
        path = service.directory / name
        old, text = texts.get(name) or (_read_source(path),) * 2
        wanted = (update.base.name, update.text)
        edit = change_image(text, *wanted) if name != DOCKERFILE else change_reference(text, *wanted, arguments)
        for refusal in edit.refusals:
            message = f"{path}:{refusal.line}: dockyard cannot change {refusal.reference}: {refusal.reason}"
            raise NotReadyError(message, hint="edit it by hand, or write the whole reference into FROM")
        texts[name] = (old, edit.text)
    return [FileChange(name, old, new) for name, (old, new) in texts.items() if new != old]


def refuse_choice(service: Service, update: "Pending", parameters: Sequence[str]) -> None:
    """Raise NotReadyError if a build cannot take an image with its digest for one that the Dockerfile names."""
    path = service.directory / update.base.file
    if update.base.file != DOCKERFILE:
        return
    try:
        text, wanted = read_dockerfile(path), {update.base.name: update.reference}
        substitute_references(text, wanted, build_arguments(parameters))
    except (OSError, ValueError) as error:
        message = f"{path}: no digest can be chosen for {update.base.name}: {error}"
        raise NotReadyError(message, hint="write the whole reference into FROM") from None


def _read_source(path: Path) -> str:
    """Return a file's text. Raises NotReadyError for one that dockyard does not change, such as a symbolic link."""
    try:
        return read_text(path)
    except DockyardError as error:
        raise NotReadyError(str(error), error.hint) from None


def bump(
    service: Service, updates: "Sequence[Pending]", parameters: Sequence[str], attempt: Try, branch: str = ""
) -> Bumped:
    """Change a service's source to newer versions if what is built from it passes; otherwise nothing changes.

    In a git repository it is one commit on the current branch, or on `branch`. Elsewhere the files are changed, and the
    earlier ones are stored in the state directory. Raises DockyardError.
    """
    changes = plan_changes(service, updates, parameters)
    if not changes:
        raise NotReadyError(f"{service.name}: no file names {updates[0].base.name}", hint=f"d outdated {service.name}")
    repository = find_ready_repository(service, branch)
    if not repository:
        return _bump_in_place(service, updates, changes, attempt)
    target = branch or repository.branch
    with _copy_of_source(repository, service.directory) as copy:
        for change in changes:
            replace_text(copy / change.file, change.old, change.new)
        tried = attempt(Service(copy))
    relative = service.directory.resolve().relative_to(repository.top)
    message = commit_message(service.name, updates, tried)
    files = [(str(relative / change.file), change.old, change.new) for change in changes]
    made = repository.commit(target, files, message)
    return Bumped(tried, made, message.partition("\n")[0])


def find_ready_repository(service: Service, branch: str = "") -> Repository | None:
    """Return the repository of a service, None if it is in none. Raises GitError if no commit is possible now."""
    repository = find_repository(service.directory)
    if repository:
        repository.refuse_unfinished()
        repository.refuse_changes(service.directory.resolve())
        repository.refuse_submodules(service.directory.resolve())
        if not branch:
            _ = repository.branch
    return repository


@contextmanager
def _copy_of_source(repository: Repository, directory: Path) -> Iterator[Path]:
    """Yield the directory of a service in a worktree, with what git ignores: a build may need that."""
    relative = directory.resolve().relative_to(repository.top)
    with repository.worktree("HEAD") as tree:
        for name in repository.ignored_files(directory):
            source, target = repository.top / name, tree / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
        named = tree / relative
        if named.name != directory.name:  # a symlink has another name, and images are called by it
            named = tree.parent / directory.name
            named.symlink_to(tree / relative)
        yield named


def _bump_in_place(service: Service, updates: "Sequence[Pending]", changes: list[FileChange], attempt: Try) -> Bumped:
    """Try the new files where they are, and put the earlier ones back if that fails."""
    saved = _saved(service)
    try:
        saved.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_file(saved / CHANGES, json.dumps([change._asdict() for change in changes]))
    except OSError as error:
        raise DockyardError(
            f"{saved}: {error.strerror}", hint="dockyard stores the earlier files there; check its permissions"
        ) from None
    try:
        for change in changes:
            replace_text(service.directory / change.file, change.old, change.new)
        tried = attempt(service)
    except BaseException:
        _restore(service)
        raise
    return Bumped(tried, "", subject_of(service.name, updates))


def _saved(service: Service) -> Path:
    return state_directory() / "before-bump" / service.name


def _restore(service: Service) -> None:
    """Give files their text from before the last bump, as far as they have that of the bump."""
    try:
        rows = json.loads((_saved(service) / CHANGES).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    for change in (FileChange(**row) for row in rows):
        if read_text(service.directory / change.file) == change.new:
            replace_text(service.directory / change.file, change.new, change.old)


def take_back(service: Service, commit: str, subject: str) -> None:
    """Undo a bump that did not go live: by a second commit, or, outside of git, in the files. Raises DockyardError."""
    repository = find_repository(service.directory)
    if repository and commit:
        repository.revert(commit, subject)
    elif not repository:
        _restore(service)


def subject_of(service: str, updates: "Sequence[Pending]") -> str:
    """Return the subject of a commit: `web: postgres 16.4 → 16.5`."""
    whole = f"{service}: {', '.join(update.summary for update in updates)}"
    if len(whole) <= MAX_SUBJECT:
        return whole
    short = f"{service}: {updates[0].summary}"
    more = f" and {len(updates) - 1} more" if len(updates) > 1 else ""
    return f"{short[: MAX_SUBJECT - len(more)]}{more}"


def commit_message(service: str, updates: "Sequence[Pending]", tried: Tried) -> str:
    """Return the message of a commit: what changes, what changed inside, how the Test went, and the release notes."""
    body = [line for update in updates for line in _body(update)]
    body += tried.lines
    body.append("no Test" if tried.seconds is None else f"Test: passed in {tried.seconds:.1f} s")
    return "\n".join([subject_of(service, updates), "", *body]) + "\n"


def _body(update: "Pending") -> Iterator[str]:
    yield update.summary
    yield f"  from {update.base.digest or 'an unknown digest'}"
    yield f"  to   {update.sighting.digest}"
    if update.notes:
        yield f"  notes: {update.notes}"
