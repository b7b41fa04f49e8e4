"""The items of an installation, and the record by which they are removed."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from dockyard.errors import DockyardError

DIRECTORY = "a directory"


class Item(NamedTuple):
    """One file, or with `target` one link; `path` is its final path on the host, wherever it is staged."""

    path: str
    content: str = ""
    target: str = ""
    mode: int = 0o644

    @property
    def digest(self) -> str:
        """The digest that distinguishes it from anything else at its path."""
        return _link(self.target) if self.target else _file(self.content.encode())


class Manifest(NamedTuple):
    """What was installed: the digests by which a path is ours, and the directories that were created.

    During an upgrade a path has two digests: with either of them it is ours.
    """

    files: Mapping[str, tuple[str, ...]] = {}
    directories: tuple[str, ...] = ()


def digest_at(path: Path) -> str | None:
    """Return the digest of what exists at a path, or None. Raises OSError."""
    try:
        if path.is_symlink():
            return _link(str(path.readlink()))
        return DIRECTORY if path.is_dir() else _file(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None


def _link(target: str) -> str:
    return f"link {target}"


def _file(content: bytes) -> str:
    return f"sha256 {hashlib.sha256(content).hexdigest()}"


def read_manifest(path: Path) -> Manifest:
    """Return what was installed, if anything. Raises DockyardError for an invalid manifest."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        files = {str(name): tuple(map(str, digests)) for name, digests in found["files"].items()}
        return Manifest(files, tuple(map(str, found["directories"])))
    except FileNotFoundError:
        return Manifest()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DockyardError(f"{path} was not written by an installation", hint="restore it from a backup") from None


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write what was installed, atomically. Raises OSError."""
    text = json.dumps({"files": dict(sorted(manifest.files.items())), "directories": manifest.directories}, indent=1)
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text + "\n", encoding="utf-8")
    os.replace(draft, path)  # noqa: PTH105 - reads as what it is
