"""Data files that are installed with the code."""

from pathlib import Path

MAKEFILE = Path(__file__).with_name("dockyard.mk")
"""The Makefile that a service's Makefile includes."""

COMPLETIONS = {
    "bash": Path(__file__).with_name("completions") / "dockyard.bash",
    "zsh": Path(__file__).with_name("completions") / "_dockyard",
    "fish": Path(__file__).with_name("completions") / "dockyard.fish",
}
"""The completion of our command lines for each shell."""

UNITS = Path(__file__).with_name("units")
"""Templates of systemd units; `@NAME@` is filled in."""

SCHEMA = Path(__file__).with_name("settings.schema.json")
"""The JSON Schema of settings.yaml, as `d schema` prints it."""

SUDOERS = Path(__file__).with_name("sudoers") / "dockyard-d-map"
"""The rule that lets every user run d-map with sudo, if it is installed as /usr/local/bin/d-map."""

TEMPLATES = Path(__file__).with_name("templates")
"""Templates of services, a directory each; `@NAME@` and the like are filled in."""
