"""What the rules for one service may read: its project, and the options of the user."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from dockyard.moving.outcome import Secret
from dockyard.moving.reading import Project
from dockyard.moving.tree import Part

DEFAULT_NETWORK = "default"
_SECRET_NAME = re.compile(
    r"(PASS(WORD|WD|PHRASE)?|SECRET|TOKEN|KEY|CREDENTIALS?|PWD|PW|DSN)(_?\d+)?$|PASSWORD|SECRET", re.IGNORECASE
)
_NO_SECRET_NAME = re.compile(r"_(FILE|PATH|DIR|LENGTH|EXPIRY|TTL|ENABLED)(_|$)", re.IGNORECASE)
_PASSWORD_IN_ADDRESS = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
_NO_SECRET = re.compile(r"|true|false|yes|no|\d{1,3}", re.IGNORECASE)


class Wanted(NamedTuple):
    """The options of the import."""

    prefix: str = ""
    network: str = ""
    profiles: frozenset[str] = frozenset()
    first_wave: int = 1


class Store(NamedTuple):
    """A directory or file with the data of services: its owner, its path below VOL_BASE/OWNER, and how to copy it."""

    owner: str
    path: str
    copy: str


class Context(NamedTuple):
    """One service of a project. `name` is its name in compose, `directory` its name here."""

    project: Project
    wanted: Wanted
    base: str
    name: str
    part: Part
    stores: Mapping[str, Store]
    waves: Mapping[str, int]

    @property
    def directory(self) -> str:
        """The name of the service's directory."""
        return self.wanted.prefix + self.name

    @property
    def is_built(self) -> bool:
        """Whether compose builds its image."""
        return self.part.at("build") is not None

    @property
    def container(self) -> str:
        """The container's name."""
        named = self.part.at("container_name")
        return named.text if named and named.text else self.directory

    def path(self, text: str) -> Path:
        """Return the absolute path of a path in a compose file."""
        return absolute(self.project, text)

    def uses_secret(self, part: Part, used: tuple[str, ...] = ()) -> str:
        """Return the name of the secret that a value contains, if any; `used` are the variables in it."""
        names = used or self.project.used.get(part.node.where, ())
        secret = next((name for name in names if is_secret(name, self.project.variables.get(name, ""))), "")
        return secret or ("an address with a password" if _PASSWORD_IN_ADDRESS.search(part.text) else "")

    def secret(self, variable: str, part: Part, used: tuple[str, ...] = ()) -> Secret | None:
        """Return the secret in a variable's value; None if it contains none."""
        names = used or self.project.used.get(part.node.where, ())
        if not part.text or (not is_secret(variable, part.text) and not self.uses_secret(part, names)):
            return None
        alone = len(names) == 1 and self.project.variables.get(names[0]) == part.text
        name = names[0] if alone else f"{self.name}/{variable}"
        where = self.project.sources.get(names[0], f"the environment, {names[0]}") if alone else part.where
        return Secret(f"{self.project.name}/{re.sub(r'[^A-Za-z0-9_/-]', '_', name)}", part.text, where)


def absolute(project: Project, text: str) -> Path:
    """Return the absolute path of a path in a compose file: relative to the project, `~` the user's home."""
    import os

    home = project.variables.get("HOME", "/root")
    plain = home + text[1:] if text == "~" or text.startswith("~/") else text
    return Path(os.path.normpath(project.directory / plain))


def is_secret_name(name: str) -> bool:
    """Return whether a variable of that name is for a secret."""
    return bool(_SECRET_NAME.search(name)) and not _NO_SECRET_NAME.search(name)


def is_secret(name: str, value: str) -> bool:
    """Return whether a variable is a secret: by its name, or because its value is an address with a password."""
    if _NO_SECRET.fullmatch(value):
        return False
    return is_secret_name(name) or bool(_PASSWORD_IN_ADDRESS.search(value))
