"""Installs and uninstalls dockyard: other files are never overwritten or removed."""

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from dockyard.errors import DockyardError
from dockyard.installation.item import DIRECTORY, Item, Manifest, digest_at, read_manifest, write_manifest

SETTINGS = "/etc/"
"""A file of ours below this directory is not installed again if it was removed."""


class Done(NamedTuple):
    """The outcome of a path: `written`, `unchanged`, `removed`, or why it was `kept`."""

    path: str
    what: str


class Installation(NamedTuple):
    """One installation: `root` is prepended to every path (DESTDIR), `home` is its directory."""

    root: str
    home: str
    force: bool = False

    def at(self, path: str) -> Path:
        return Path(f"{self.root}{path}")

    @property
    def record(self) -> Path:
        return self.at(f"{self.home}/manifest.json")

    def install(self, items: Sequence[Item], made: Iterable[str] = ()) -> list[Done]:
        """Install items in this order, and remove those that only an earlier installation had.

        `made` are directories that were already created for it. Raises DockyardError, before anything is changed, if
        other files are in the way.
        """
        before = read_manifest(self.record)
        verdicts = {item.path: self._verdict(item, before) for item in items}
        if foreign := [path for path, verdict in verdicts.items() if verdict == "foreign"]:
            hint = "move it away, or overwrite it with FORCE=1"
            raise DockyardError(f"not part of this installation, but in its way: {', '.join(foreign)}", hint)
        wanted = [item for item in items if verdicts[item.path] in {"written", "unchanged"}]
        self._record(before, items, made)
        for item in wanted:
            self._place(item)
        gone = self._remove({path: ours for path, ours in before.files.items() if path not in verdicts})
        files = {item.path: (item.digest,) if item in wanted else before.files[item.path] for item in items}
        write_manifest(self.record, read_manifest(self.record)._replace(files=files))
        return [*(Done(path, verdict) for path, verdict in verdicts.items()), *gone]

    def uninstall(self, trees: Iterable[str]) -> list[Done]:
        """Remove the unchanged files, these trees, and the empty directories that were created."""
        manifest = read_manifest(self.record)
        done = self._remove(manifest.files)
        for tree in trees:
            if self.at(tree).exists():
                shutil.rmtree(self.at(tree))
        self.record.unlink(missing_ok=True)
        for directory in sorted(manifest.directories, reverse=True):
            with suppress(OSError):  # something is in it that is not ours
                self.at(directory).rmdir()
        return done

    def _verdict(self, item: Item, before: Manifest) -> str:
        """Return the outcome for an item: `written`, `unchanged`, `foreign`, or why it is not touched."""
        there, ours = digest_at(self.at(item.path)), before.files.get(item.path, ())
        if there == DIRECTORY:
            return "foreign"
        if there == item.digest:
            return "unchanged"
        if self.force or there in ours or (there is None and not (ours and item.path.startswith(SETTINGS))):
            return "written"
        if there is None:
            return "left out: it was removed"
        return "kept: it was changed" if ours else "foreign"

    def _record(self, before: Manifest, items: Sequence[Item], made: Iterable[str]) -> None:
        """Record what will be installed beforehand, so that an interrupted installation can be removed."""
        missing = [path for item in items for path in self._missing(item.path)]
        self.record.parent.mkdir(parents=True, exist_ok=True)
        files = {item.path: tuple(dict.fromkeys([*before.files.get(item.path, ()), item.digest])) for item in items}
        directories = sorted({*before.directories, *made, *missing})
        write_manifest(self.record, Manifest({**before.files, **files}, tuple(directories)))

    def _missing(self, path: str) -> list[str]:
        """Return the missing parent directories of a path."""
        return [str(above) for above in Path(path).parents if not self.at(str(above)).exists()]

    def _place(self, item: Item) -> None:
        """Install an item atomically."""
        path = self.at(item.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = _draft(path)
        draft.unlink(missing_ok=True)
        if item.target:
            draft.symlink_to(item.target)
        else:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(item.content)
                os.fchmod(descriptor, item.mode)
        draft.replace(path)

    def _remove(self, files: Mapping[str, tuple[str, ...]]) -> list[Done]:
        """Remove the files that are unchanged since their installation."""
        done = []
        for path, ours in files.items():
            there = digest_at(self.at(path))
            _draft(self.at(path)).unlink(missing_ok=True)
            if there in ours:
                self.at(path).unlink()
            if there is not None:
                done.append(Done(path, "removed" if there in ours else "kept: it was changed"))
        return done


def _draft(path: Path) -> Path:
    """Return the path of a draft; the leading dot hides it from programs that read all files of a directory."""
    return path.with_name(f".{path.name}.dockyard")
