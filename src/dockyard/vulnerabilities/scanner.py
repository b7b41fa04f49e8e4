"""Running the scanner of `scan_command` on an image, and what it has found today."""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard import process
from dockyard.errors import DockyardError
from dockyard.layers.copies import save_image
from dockyard.secrets import state_directory
from dockyard.settings.keys import SCAN_COMMAND
from dockyard.state_file import write_file
from dockyard.telling import warn
from dockyard.vulnerabilities.report import ReportError, Vulnerability, parse_report

if TYPE_CHECKING:
    from dockyard.engine.engine import Engine
    from dockyard.engine.models import Image
    from dockyard.yard import Yard

SCAN_SECONDS = 900
"""A first run downloads the scanner's list of vulnerabilities."""
SAVED_DAYS = 7
_IMAGE, _ARCHIVE = "{image}", "{archive}"
_LAST_LINES = 5
_RUN_HINT = "run it by hand to see why; without `scan_command` in the host file no image is scanned"
_FLAGS_HINT = "leave out flags such as --fail-on and --exit-code: findings must not make it fail"


class Scanner:
    """The scanner of a host, on its engine. Raises DockyardError if its command names no image."""

    def __init__(self, yard: "Yard") -> None:
        self._engine: Engine = yard.engine
        self._command: tuple[str, ...] = yard.settings[SCAN_COMMAND]
        if not any(place in word for word in self._command for place in (_IMAGE, _ARCHIVE)):
            raise DockyardError(
                "scan_command names no image", hint="add `{image}` or `{archive}` to the scanner's arguments"
            )

    def load_saved(self, image: "Image") -> frozenset[Vulnerability] | None:
        """Return what this command has found today in an image of the same content; None if it was not asked."""
        try:
            saved = json.loads(self._path(image).read_text(encoding="utf-8"))
            return (
                frozenset(Vulnerability(*row) for row in saved["vulnerabilities"]) if saved["day"] == _today() else None
            )
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def scan(self, image: "Image") -> frozenset[Vulnerability]:
        """Run the scanner on an image, and save what it finds. Raises DockyardError if it reports nothing usable."""
        with self._argv(image) as argv:
            output = _run(argv)
        try:
            found = parse_report(output)
        except ReportError as error:
            raise DockyardError(
                f"scan_command: the output of {argv[0]} for {image.id[:12]} cannot be used: {error}",
                hint="make it write only JSON (`grype -o json`, `trivy image -f json`) or SARIF to stdout",
            ) from None
        self._save(image, found)
        return found

    @contextmanager
    def _argv(self, image: "Image") -> Iterator[tuple[str, ...]]:
        """Yield the command for an image: by a name that names it until the end of the block, or as an archive."""
        reference = next(iter(image.tags), image.id)
        words = tuple(word.replace(_IMAGE, reference) for word in self._command)
        if any(_ARCHIVE in word for word in words):
            with save_image(self._engine, image) as archive:
                yield tuple(word.replace(_ARCHIVE, str(archive)) for word in words)
        else:
            yield words
        now = self._engine.images([reference]).get(reference)
        if any(_IMAGE in word for word in self._command) and (now is None or now.id != image.id):
            raise DockyardError(
                f"{reference} was re-tagged while {image.id[:12]} was scanned", hint="run the upgrade again"
            )

    def _path(self, image: "Image") -> Path:
        name = hashlib.sha256(json.dumps([self._command, image.content or image.id]).encode()).hexdigest()
        return _directory() / f"{name}.json"

    def _save(self, image: "Image", found: frozenset[Vulnerability]) -> None:
        try:
            write_file(self._path(image), json.dumps({"day": _today(), "vulnerabilities": sorted(found)}))
            _remove_old_results()
        except OSError as error:
            warn(f"{_directory()}: the result of a scan was not saved: {error.strerror}")


def _run(argv: tuple[str, ...]) -> str:
    """Return what the scanner writes on stdout. Raises DockyardError if it fails."""
    try:
        done = process.capture(argv, timeout=SCAN_SECONDS)
    except OSError as error:
        raise DockyardError(f"scan_command: {argv[0]}: {error.strerror}", hint=_RUN_HINT) from None
    if done.exit_code:
        last = "\n".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
        raise DockyardError(
            f"scan_command: {argv[0]} ended with exit code {done.exit_code}",
            hint="\n".join(filter(None, [last, _RUN_HINT, _FLAGS_HINT])),
        )
    return done.stdout


def _directory() -> Path:
    return state_directory() / "scans"


def _today() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())


def _remove_old_results() -> None:
    oldest = time.time() - SAVED_DAYS * 24 * 3600
    for path in _directory().glob("*.json"):
        with suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()
