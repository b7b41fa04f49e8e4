"""Compose v2 for the benches, as a plugin of the client (see trixie.py)."""

import sys
from typing import NoReturn

import trixie
from common import DOCKER
from trixie import STATE, MissingError

CONFIG = STATE / "trixie" / "docker-compose" / "config"
COMPOSE = (DOCKER, "--config", str(CONFIG), "compose")


def version() -> str:
    """Return compose's version; downloads it first if necessary. Raises MissingError."""
    return trixie.run(*trixie.compose(DOCKER), "version", "--short").strip()


def ready() -> str:
    """Return compose's version. If it is not available, report that and exit: the bench has not passed."""
    try:
        return version()
    except MissingError as error:
        _give_up(error)


def _give_up(error: MissingError) -> NoReturn:
    print(f"not measured: compose cannot be had here ({error})")
    sys.exit(0)


if __name__ == "__main__":
    print(ready())
