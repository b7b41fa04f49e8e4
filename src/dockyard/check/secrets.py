"""Recognizes secrets by their name or their value."""

import re

# Variables whose names end like this contain a secret, unless they contain only its location.
_NAMES = re.compile(
    r"(password|passwd|passphrase|secret|token|credentials?|secret_?key_?base|requirepass|"
    r"(secret|private|access|api|auth|encryption|signing|master)[_-]?key|(^|[_-])(pass|pwd|pw))\d*$",
    re.IGNORECASE,
)
_NO_SECRET = re.compile(r"[/*$%{<].*|file:.*|https?://[^@]*|true|false|yes|no|none|null|on|off|\d{0,3}", re.IGNORECASE)
_TOKENS = re.compile(
    r"AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{22,}|glpat-[\w-]{20}|xox[abprs]-[\w-]{10,}|"
    r"sk_live_\w{16,}|-----BEGIN [A-Z ]*PRIVATE KEY-----|[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s:@$*{]+@"
)
_FLAG = re.compile(r"--?([A-Za-z][\w-]*)(?:=(.*))?")


def names_secret(name: str) -> bool:
    """Return whether a variable of this name is for a secret."""
    return name not in {"PWD", "OLDPWD"} and bool(_NAMES.search(name))


def is_secret(name: str, value: str) -> bool:
    """Return whether a variable contains a secret itself, not only its location."""
    return bool(_TOKENS.search(value)) or (names_secret(name) and not _NO_SECRET.fullmatch(value))


def secret_flags(words: tuple[str, ...]) -> list[str]:
    """Return the flags of a command that contain a secret, by their names."""
    found = []
    for number, word in enumerate(words):
        flag = _FLAG.fullmatch(word)
        if flag:
            following = words[number + 1] if number + 1 < len(words) else ""
            value = flag[2] if flag[2] is not None else "" if following.startswith("-") else following
            found += [word.partition("=")[0]] if is_secret(flag[1], value) and value else []
    return found
