"""Compose files → one project: resolves merge keys, `extends`, later files and variables, as compose v2 does."""

import os
import re
from collections.abc import Mapping as AbstractMapping
from pathlib import Path
from typing import NamedTuple

from dockyard.errors import Problem, SettingsError, UsageError
from dockyard.moving.dotenv import Assignment, read_assignments
from dockyard.moving.interpolation import interpolate, problem_at
from dockyard.moving.merging import long_forms, merged, overlaid
from dockyard.moving.tree import Part
from dockyard.settings.nodes import Mapping, Node, Scalar, Sequence, document

DEEPEST = 32
OVERRIDES = (
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)


class Project(NamedTuple):
    """A compose project.

    `used` has the variables that values use, by their positions; `unset` are variables without a value.
    """

    name: str
    directory: Path
    root: Part
    variables: AbstractMapping[str, str]
    used: AbstractMapping[str, tuple[str, ...]]
    unset: tuple[str, ...]
    notes: tuple[str, ...]
    sources: AbstractMapping[str, str]
    """The position of each variable of .env."""

    @property
    def services(self) -> dict[str, Part]:
        """The services, in the order of the file."""
        found = self.root.at("services")
        return found.pairs() if found else {}

    def defined(self, kind: str, name: str) -> Part | None:
        """Return the top-level definition of a network, volume, config or secret."""
        return self.root.at(kind, name)


def read_project(files: list[str], environ: AbstractMapping[str, str]) -> Project:
    """Read a project. Raises SettingsError with what is wrong with its files, UsageError for a missing one."""
    directory = Path(os.path.normpath(Path(files[0]).absolute())).parent
    assignments = _dotenv(directory, environ)
    variables = {one.name: one.value for one in assignments if one.value is not None} | dict(environ)
    reader = _Reader(variables)
    roots = [reader.read(Path(file), file) for file in files]
    root = roots[0]
    for later in roots[1:]:
        root = _over(root, later)
    part = Part((), root)
    return Project(
        name=_project_name(part, environ, variables, directory),
        directory=directory,
        root=part,
        variables=variables,
        used=reader.used,
        unset=tuple(dict.fromkeys(reader.unset)),
        notes=tuple(_notes(files, directory)),
        sources={one.name: one.where for one in assignments},
    )


def _text_of(path: Path, shown: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{shown}: {error.strerror}", hint="name a compose file") from None
    except UnicodeDecodeError:
        raise UsageError(f"{shown}: not UTF-8") from None


def _dotenv(directory: Path, environ: AbstractMapping[str, str]) -> list[Assignment]:
    path = directory / ".env"
    return read_assignments(_text_of(path, ".env"), ".env", environ) if path.is_file() else []


def read_env_file(path: Path, shown: str, variables: AbstractMapping[str, str], *, raw: bool) -> list[Assignment]:
    """Return the variables of an `env_file`. Raises UsageError if it cannot be read, SettingsError."""
    return read_assignments(_text_of(path, shown), shown, variables, raw=raw)


def _notes(files: list[str], directory: Path) -> list[str]:
    given = {Path(file).name for file in files}
    beside = [name for name in OVERRIDES if (directory / name).is_file() and name not in given]
    advice = f"to include it, add it after {files[0]}"
    return [f"{name} is in the same directory and was not read: {advice}" for name in beside]


def _project_name(
    root: Part, environ: AbstractMapping[str, str], variables: AbstractMapping[str, str], directory: Path
) -> str:
    """Return the project's name: COMPOSE_PROJECT_NAME, else what the file says, else the directory's name."""
    said = root.at("name")
    wanted = environ.get("COMPOSE_PROJECT_NAME") or variables.get("COMPOSE_PROJECT_NAME") or (said.text if said else "")
    name = wanted or re.sub(r"^[^a-z0-9]+|[^a-z0-9_-]", "", directory.name.lower()) or "project"
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        where = said.node.where if said else "COMPOSE_PROJECT_NAME"
        hint = "use lower-case letters, digits, `_` and `-`"
        raise SettingsError([Problem(where, f"`{name}` is not a valid name of a project", hint)])
    return name


class _Reader:
    """Reads files of one project; the variables of a value are replaced once, even if aliases repeat it."""

    def __init__(self, variables: AbstractMapping[str, str]) -> None:
        self._variables = variables
        self.used: dict[str, tuple[str, ...]] = {}
        self.unset: list[str] = []
        self._problems: list[Problem] = []
        self._roots: dict[Path, Mapping] = {}

    def read(self, path: Path, shown: str) -> Mapping:
        """Return a file's tree, with `extends` resolved and services in their long forms. Raises SettingsError."""
        root = self._tree(path, shown)
        pairs: list[tuple[Scalar, Node]] = []
        for key, value in root.pairs:
            if key.text == "services" and isinstance(value, Mapping):
                extended = ((name, self._extended(body, path, shown, (name.text,))) for name, body in value.pairs)
                pairs.append((key, Mapping(tuple(extended), value.where)))
            else:
                pairs.append((key, value))
        if self._problems:
            raise SettingsError(list(dict.fromkeys(self._problems)))
        return Mapping(tuple(pairs), root.where)

    def _tree(self, path: Path, shown: str) -> Mapping:
        real = path.absolute()
        if real not in self._roots:
            text = _text_of(path, shown)
            _refuse_tags(text, shown)
            node = merged(document(text, shown, DEEPEST))
            if not isinstance(node, Mapping):
                raise SettingsError([Problem(node.where, "expected a compose file: a map with `services`")])
            tree = self._replaced(node, {})
            assert isinstance(tree, Mapping)  # noqa: S101 - a map stays one
            self._roots[real] = tree
        return self._roots[real]

    def _replaced(self, node: Node, done: dict[int, Node]) -> Node:
        if id(node) not in done:
            done[id(node)] = self._with_values(node, done)
        return done[id(node)]

    def _with_values(self, node: Node, done: dict[int, Node]) -> Node:
        if isinstance(node, Sequence):
            return Sequence(tuple(self._replaced(item, done) for item in node.items), node.where)
        if isinstance(node, Mapping):
            return Mapping(tuple((key, self._replaced(value, done)) for key, value in node.pairs), node.where)
        found = interpolate(node.text, self._variables)
        self._problems += problem_at(node.where, found)
        if found.used:
            self.used[node.where] = found.used
            self.unset += found.unset
        return node._replace(text=found.text, plain=node.plain and not found.used)

    def _extended(self, body: Node, path: Path, shown: str, way: tuple[str, ...]) -> Node:
        """Return a service merged over the one that it extends."""
        service = long_forms(body)
        extends = Part((), service).at("extends")
        if not extends or not isinstance(service, Mapping):
            return service
        fields = extends.pairs()
        name = fields.get("service", extends).text
        other = path.parent / fields["file"].text if "file" in fields else path
        if len(way) > DEEPEST or (other == path and name in way):
            raise SettingsError(
                [Problem(extends.node.where, f"services extend each other: {' → '.join((*way, name))}")]
            )
        shown_there = fields["file"].text if "file" in fields else shown
        if other.absolute().parent != path.absolute().parent:
            hint = "merge the files with compose: docker compose config > one.yaml"
            raise SettingsError([Problem(extends.node.where, "it extends a service of another directory", hint)])
        base = Part((), self._tree(other, shown_there)).at("services", name)
        if not base:
            raise SettingsError([Problem(extends.node.where, f"there is no service `{name}` in {shown_there}")])
        below = self._extended(base.node, other, shown_there, (*way, name))
        own = Mapping(tuple(pair for pair in service.pairs if pair[0].text != "extends"), service.where)
        kept = Mapping(tuple(pair for pair in service.pairs if pair[0].text == "extends"), service.where)
        return overlaid(overlaid(below, own), kept)


def _over(below: Mapping, above: Mapping) -> Mapping:
    """Return a file's tree with a later one merged over it."""
    tops = {key.text: (key, value) for key, value in below.pairs}
    for key, value in above.pairs:
        old = tops.get(key.text)
        both = old and isinstance(old[1], Mapping) and isinstance(value, Mapping)
        tops[key.text] = (key, _by_name(old[1], value) if old and both else value)
    return Mapping(tuple(tops.values()), above.where)


def _by_name(below: Node, above: Node) -> Node:
    """Return the services, networks and so on of both files; one that is in both is merged."""
    assert isinstance(below, Mapping)  # noqa: S101 - see the caller
    assert isinstance(above, Mapping)  # noqa: S101
    pairs = {key.text: (key, value) for key, value in below.pairs}
    for key, value in above.pairs:
        pairs[key.text] = (key, overlaid(pairs[key.text][1], value) if key.text in pairs else value)
    return Mapping(tuple(pairs.values()), above.where)


def _refuse_tags(text: str, name: str) -> None:
    """Raise SettingsError for `!reset` and `!override`, which control how files are merged."""
    if "!" not in text:
        return
    import ruamel.yaml
    from ruamel.yaml.error import YAMLError
    from ruamel.yaml.tokens import TagToken

    try:
        tokens = [token for token in ruamel.yaml.YAML(typ="safe", pure=True).scan(text) if isinstance(token, TagToken)]
    except YAMLError:
        return  # reported with its position when it is parsed
    hint = "merge the files with compose: docker compose config > one.yaml"
    marks = [(token.start_mark, token) for token in tokens]
    if marks:
        raise SettingsError(
            [
                Problem(f"{name}:{mark.line + 1}:{mark.column + 1}", "tags `!…` are not supported", hint)
                for mark, _ in marks
            ]
        )
