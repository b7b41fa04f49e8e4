"""The location of the running installation."""

import sys
from pathlib import Path
from typing import NamedTuple

from dockyard.share import SCHEMA

MARK = "dockyard-installation"
"""The file in an environment that scripts/install created: lines `NAME=VALUE`, among them its prefix."""


class Layout(NamedTuple):
    """Where things are installed: `prefix` such as /usr/local, `home` such as /opt/dockyard."""

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
        """The link to the current environment."""
        return f"{self.home}/current"

    @property
    def is_hosts(self) -> bool:
        """Whether systemd and sudo search below the prefix."""
        return self.prefix in {"/usr", "/usr/local"}


def prefix() -> Path | None:
    """Return the prefix of the running installation; None unless it is the host's: pipx, uv, a checkout."""
    try:
        text = Path(sys.prefix, MARK).read_text(encoding="utf-8")
    except OSError:
        return None
    named = dict(line.partition("=")[::2] for line in text.splitlines())
    return Path(named["prefix"]) if "prefix" in named else None


def program(name: str) -> Path:
    """Return the path of one of our programs that is valid after upgrades: the current environment will be removed."""
    found = prefix()
    return found / "bin" / name if found else Path(sys.executable).with_name(name)


def schema() -> Path:
    """Return the path of the schema of settings.yaml that is valid after upgrades."""
    found = prefix()
    return found / "share/dockyard" / SCHEMA.name if found else SCHEMA
