"""Capabilities that programs need at their start, as root: which of them an instance lacks, and what fails without."""

import re
from collections.abc import Iterable, Sequence

from dockyard.plan.flags import flag_values, is_set
from dockyard.text import listed

AT_START = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID")
"""What an entrypoint needs that begins as root, prepares its data and then changes to another user."""

ADDED = f"cap_add: [{', '.join(AT_START)}]"
"""The setting that gives all of them."""

_REFUSED = r"[^\n]*(operation not permitted|not permitted|eperm)"
_FAILURES = (
    (re.compile(rf"(chown|changing ownership|changing group){_REFUSED}", re.IGNORECASE), ("CHOWN",)),
    (re.compile(rf"(chmod|changing permissions|utimes?|setting times){_REFUSED}", re.IGNORECASE), ("FOWNER",)),
    (
        re.compile(
            rf"(set(res|re|e)?[ug]id|setgroups|initgroups|setpriv|gosu|su-exec|runuser|chpst|switching to){_REFUSED}",
            re.IGNORECASE,
        ),
        ("SETGID", "SETUID"),
    ),
    (re.compile(r"permission denied|eacces", re.IGNORECASE), ("DAC_OVERRIDE",)),
)
"""What programs write where a capability is missing, and which ones."""


def has_capability(name: str, argv: Sequence[str]) -> bool:
    """Return whether root in an instance has a capability that the engine grants by default."""
    if is_set(argv, "privileged"):
        return True
    dropped, added = (
        {word.upper().removeprefix("CAP_") for value in flag_values(argv, flag) for word in value.split(",")}
        for flag in ("cap-drop", "cap-add")
    )
    return bool({"ALL", name} & added) or not {"ALL", name} & dropped


def lacking(argv: Sequence[str]) -> tuple[str, ...]:
    """Return which capabilities of a start an instance lacks."""
    return tuple(name for name in AT_START if not has_capability(name, argv))


def explain_failure(lacked: Sequence[str], log: Iterable[str]) -> list[str]:
    """Return what a log says of missing capabilities, and the setting that gives them; nothing if it is not that."""
    text = "\n".join(log)
    named = {name for pattern, names in _FAILURES if pattern.search(text) for name in names} & set(lacked)
    return [f"{lacks(sorted(named))}: {remedy(sorted(named))}"] if named else []


def lacks(names: Sequence[str]) -> str:
    """Return which capabilities root in the container does not have, in words."""
    return f"root in the container lacks the {'capability' if len(names) == 1 else 'capabilities'} {listed(names)}"


def remedy(names: Sequence[str]) -> str:
    """Return the line of settings.yaml that gives capabilities."""
    return f"write `cap_add: [{', '.join(names)}]` beside `cap_drop`"
