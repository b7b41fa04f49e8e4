"""The reference of exit codes, from the table and the failures that have them."""

from dockyard import errors
from dockyard.docs.table import NONE, page, table


def exit_codes_page() -> str:
    """Return the reference of exit codes."""
    rows = ([f"`{code}`", text, " ".join(_failures(code)) or NONE] for code, text in errors.EXIT_CODES.items())
    return page("Exit codes", _INTRODUCTION, table(("code", "meaning", "what ends so"), rows), _AFTERWORD)


def _failures(code: int) -> list[str]:
    """Return what the failures of a code are, in the words of their classes."""
    classes = (value for value in vars(errors).values() if isinstance(value, type))
    found = [one for one in classes if issubclass(one, errors.DockyardError) and one.exit_code == code]
    return [(one.__doc__ or "").strip().partition("\n")[0] for one in found]


_INTRODUCTION = """\
All programs, and Test scripts that use dockyard's library, end with one of these. What a user can cause ends with a
message and a hint on stderr; a traceback is a bug, please report it.
"""

_AFTERWORD = """\
`d run X COMMAND` ends with the command's own code. A verb that works on several services ends with 1 where one of them
failed: the others are done all the same, and the summary says which failed and why.
"""
