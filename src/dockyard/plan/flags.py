"""What the words of an engine's command line say, whoever wrote them."""

import csv
from collections.abc import Iterator, Sequence

# Flags that take no value and may stand before another in one word, as in `-dp 80:80`.
_SWITCHES = "dhiPqt"


def flag_values(argv: Sequence[str], long: str, short: str = "") -> Iterator[str]:
    """Yield the values of a flag: of `--long v`, `--long=v`, and of `-s v`, `-sv`, `-s=v`."""
    for number, word in enumerate(argv):
        following = argv[number + 1] if number + 1 < len(argv) else ""
        if word == f"--{long}":
            yield following
        elif word.startswith(f"--{long}="):
            yield word.partition("=")[2]
        elif short and word.startswith("-") and not word.startswith("--"):
            cluster = word[1:].lstrip(_SWITCHES)
            if cluster.startswith(short):
                yield cluster[1:].removeprefix("=") or following


def is_set(argv: Sequence[str], long: str) -> bool:
    """Return whether a switch is on."""
    return any(word.lower() in {f"--{long}", f"--{long}=true", f"--{long}=t", f"--{long}=1"} for word in argv)


def mount_fields(value: str) -> dict[str, str]:
    """Return the fields of a value of `--mount`, by the first of their names; a field without a value is `true`.

    The engine does not tell small letters from capital ones, and refuses what is no line of CSV.
    """
    names = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
    try:
        fields = [field.partition("=") for row in csv.reader([value]) for field in row]
    except csv.Error:
        return {}
    words = ((name.strip().lower(), text if equals else "true") for name, equals, text in fields)
    return {names.get(name, name): text for name, text in words}


def mount_targets(argv: Sequence[str]) -> frozenset[str]:
    """Return where a `run` command mounts something in the container."""
    mounts = (mount_fields(value).get("target", "") for value in flag_values(argv, "mount"))
    volumes = (value.split(":")[:2][-1] for value in flag_values(argv, "volume", "v"))
    passing = (value.partition(":")[0] for value in flag_values(argv, "tmpfs"))
    return frozenset(f"/{path.strip('/')}" for path in (*mounts, *volumes, *passing) if path)
