"""`vols`: what a service wants made before it starts."""

from collections.abc import Iterator

from dockyard.errors import Problem, SettingsError
from dockyard.plan.facts import PathFact
from dockyard.plan.owners import Owners
from dockyard.plan.places import Places, is_within
from dockyard.plan.values import Contents, MakeDirectory, MakeFile
from dockyard.settings.keys import VOLS
from dockyard.settings.resolve import Settings
from dockyard.settings.values import Volume


def volumes_here(settings: Settings, places: Places) -> Iterator[tuple[str, Volume]]:
    """Yield what counts in this mode, by its path in production: on test data only what is the service's own."""
    for volume in settings[VOLS]:
        source = places.source(volume.path)
        if not places.test_data or is_within(source, places.own):
            yield source, volume


def make_volume(volume: Volume, path: str, strict: str, owners: Owners, directory: str) -> MakeDirectory | MakeFile:
    """Return the step that makes a volume at a path. Raises SettingsError for an owner that is nowhere known.

    `directory` is the service's, where `contents` come from.
    """
    uid, gid, mode = owners.of(volume)
    if kind_of(volume) == "directory":
        return MakeDirectory(path, uid, gid, 0o755 if mode is None else mode, strict)
    contents = _contents(volume.contents, directory)
    return MakeFile(path, uid, gid, 0o644 if mode is None else mode, strict, contents)


def kind_of(volume: Volume) -> str:
    """Return `directory` or `file`: contents are a file's."""
    return volume.kind or ("directory" if volume.contents is None else "file")


def refuse_other_kind(volume: Volume, source: str, there: PathFact | None) -> None:
    """Raise SettingsError if something of another kind exists in production."""
    if there and there.kind != kind_of(volume):
        stands = f"a {there.kind}" if there.kind != "other" else "neither a directory nor a file"
        message = f"`{source}` is {stands}, but a {kind_of(volume)} is expected"
        raise SettingsError([Problem(volume.where, message, "set its `type`, or another path")])


def _contents(text: str | None, directory: str) -> Contents | None:
    if not text:
        return None
    kind, colon, value = text.partition(":")
    if colon and kind in {"file", "command"}:
        return Contents(kind, value, directory)
    return Contents("text", text, directory)
