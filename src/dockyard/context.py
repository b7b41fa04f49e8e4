"""The build context: the service's directory, its symlinks replaced by what they point to."""

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dockyard.errors import DockyardError
from dockyard.settings.types import has_glob

IGNORE_FILE = ".dockerignore"


@contextmanager
def build_context(directory: Path) -> Iterator[Path]:
    """Yield a directory to build from: the service's own, or a copy where it holds symlinks.

    The engine applies .dockerignore itself; here it only keeps links that are ignored from being followed. A link that
    leads nowhere stays a link. Raises DockyardError for a link back into a directory above it, and for what is neither
    file nor directory.
    """
    ignored = _ignored(directory)
    if not _has_links(directory, directory, ignored):
        yield directory
        return
    with tempfile.TemporaryDirectory(prefix="dockyard-context-") as copy:
        try:
            _copy(directory, Path(copy), directory, ignored, (directory.resolve(),))
        except OSError as error:
            raise DockyardError(f"{error.filename}: {error.strerror}") from None
        yield Path(copy)


def entries_of(directory: Path) -> Iterator[tuple[str, Path]]:
    """Yield all that is in a build context, in order: how it is called there, and where it is.

    Links are followed as `build_context` does, with the same errors.
    """
    yield from _walk(directory, directory, _ignored(directory), (directory.resolve(),), "")


def _walk(
    source: Path, top: Path, ignored: "_Ignored | None", above: tuple[Path, ...], relative: str
) -> Iterator[tuple[str, Path]]:
    for entry in sorted(_entries(source, top, ignored), key=lambda entry: entry.name):
        path, name = Path(entry.path), f"{relative}{entry.name}"
        yield name, path
        if entry.is_dir():
            inner = above
            if entry.is_symlink():
                inner = (*above, _followed(path, above))
            yield from _walk(path, top, ignored, inner, f"{name}/")
        elif path.exists() and not entry.is_file():
            raise _neither(path)


def _followed(path: Path, above: tuple[Path, ...]) -> Path:
    """Return where a link to a directory leads; raises DockyardError where that has no end."""
    real = path.resolve()
    if any(one.is_relative_to(real) for one in above):
        raise DockyardError(f"{path}: the link loops back to {real}", hint="exclude it in .dockerignore")
    return real


def _neither(path: Path) -> DockyardError:
    kind = stat.filemode(path.stat().st_mode)
    return DockyardError(f"{path}: neither a file nor a directory ({kind})", hint="exclude it in .dockerignore")


class _Ignored:
    """The patterns of .dockerignore: anchored at the directory, the last match decides, `!` takes back."""

    def __init__(self, lines: list[str]) -> None:
        from pathspec import GitIgnoreSpec

        patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        anchored = [f"!{_anchored(p[1:])}" if p.startswith("!") else _anchored(p) for p in patterns]
        self._spec = GitIgnoreSpec.from_lines(anchored)
        self._kept = {pattern.split("/")[1] for pattern in anchored if pattern.startswith("!")}

    def __call__(self, relative: str, *, is_directory: bool) -> bool:
        """Whether nothing at or below a path can get into the image."""
        first = relative.split("/", maxsplit=1)[0]
        may_be_kept = is_directory and any(first == kept or has_glob(kept) for kept in self._kept)
        return not may_be_kept and self._spec.match_file(relative)


def _anchored(pattern: str) -> str:
    return f"/{os.path.normpath(pattern.strip()).strip('/')}"


def _ignored(directory: Path) -> _Ignored | None:
    path = directory / IGNORE_FILE
    try:
        return _Ignored(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else None
    except (ValueError, re.error) as error:  # not UTF-8, or no pattern
        raise DockyardError(f"{path}: {error}") from None


def _entries(directory: Path, top: Path, ignored: _Ignored | None) -> list[os.DirEntry[str]]:
    """Return what is in a directory and not ignored."""
    with os.scandir(directory) as found:
        entries = list(found)
    if not ignored:
        return entries
    return [
        entry
        for entry in entries
        if not ignored(os.path.relpath(entry.path, top), is_directory=Path(entry.path).is_dir())
    ]


def _has_links(directory: Path, top: Path, ignored: _Ignored | None) -> bool:
    for entry in _entries(directory, top, ignored):
        if entry.is_symlink() or (entry.is_dir(follow_symlinks=False) and _has_links(Path(entry.path), top, ignored)):
            return True
    return False


def _copy(source: Path, target: Path, top: Path, ignored: _Ignored | None, above: tuple[Path, ...]) -> None:
    """Copy what is in a directory; `above` are the real directories that lead here: a link back to one has no end."""
    shutil.copystat(source, target)
    for entry in _entries(source, top, ignored):
        path, copy = Path(entry.path), target / entry.name
        if entry.is_symlink() and not path.exists():
            copy.symlink_to(path.readlink())
        elif entry.is_dir():
            real = path.resolve()
            if real in above:
                raise DockyardError(f"{path}: the link loops back to {real}", hint="exclude it in .dockerignore")
            copy.mkdir()
            _copy(path, copy, top, ignored, (*above, real))
        elif entry.is_file():
            shutil.copy2(path, copy)
        else:
            raise _neither(path)
