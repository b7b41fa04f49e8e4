"""Where the installation is that we run from."""

import sys
from pathlib import Path
from typing import NamedTuple

from dockyard.share import SCHEMA

MARK = "dockyard-installation"
"""The file of an environment that scripts/install made: lines `NAME=VALUE`, among them its prefix."""


class Layout(NamedTuple):
    """Where things go: `prefix` is /usr/local, say, `home` /opt/dockyard."""

    prefix: str
    home: str

    @property
    def programs(self) -> str:
        return f"{self.prefix}/bin"

    @property
    def share(self) -> str:
        return f"{self.prefix}/share"

    @property
    def current(self) -> str:
        """The link to the environment whose programs are run."""
        return f"{self.home}/current"

    @property
    def is_hosts(self) -> bool:
        """Whether systemd and sudo look below the prefix."""
        return self.prefix in {"/usr", "/usr/local"}


def prefix() -> Path | None:
    """Return the prefix of the host's installation that we run from; None for any other: pipx, uv, a checkout."""
    try:
        text = Path(sys.prefix, MARK).read_text(encoding="utf-8")
    except OSError:
        return None
    named = dict(line.partition("=")[::2] for line in text.splitlines())
    return Path(named["prefix"]) if "prefix" in named else None


def program(name: str) -> Path:
    """Return where one of our programs is, and will be after upgrades: the environment that we run from will go."""
    found = prefix()
    return found / "bin" / name if found else Path(sys.executable).with_name(name)


def schema() -> Path:
    """Return where the schema of settings.yaml is, and will be after upgrades."""
    found = prefix()
    return found / "share/dockyard" / SCHEMA.name if found else SCHEMA
