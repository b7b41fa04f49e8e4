"""What is installed beside the code."""

from pathlib import Path

MAKEFILE = Path(__file__).with_name("dockyard.mk")
"""What a service's Makefile includes."""

COMPLETIONS = {
    "bash": Path(__file__).with_name("completions") / "dockyard.bash",
    "zsh": Path(__file__).with_name("completions") / "_dockyard",
    "fish": Path(__file__).with_name("completions") / "dockyard.fish",
}
"""What makes each shell complete our command lines."""

UNITS = Path(__file__).with_name("units")
"""Templates of systemd units; `@NAME@` is filled in."""

SCHEMA = Path(__file__).with_name("settings.schema.json")
"""The JSON Schema of settings.yaml, as `d schema` prints it."""

SUDOERS = Path(__file__).with_name("sudoers") / "dockyard-d-map"
"""What lets everybody run d-map by sudo, where it is installed as /usr/local/bin/d-map."""

TEMPLATES = Path(__file__).with_name("templates")
"""Services to begin with, one a directory; `@NAME@` and its like are filled in."""
