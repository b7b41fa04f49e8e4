"""The reference of exit codes, from the table of codes and the errors that have them."""

from dockyard import errors
from dockyard.docs.table import NONE, page, table


def exit_codes_page() -> str:
    """Return the reference of exit codes."""
    rows = ([f"`{code}`", text, " ".join(_failures(code)) or NONE] for code, text in errors.EXIT_CODES.items())
    return page("Exit codes", _INTRODUCTION, table(("code", "meaning", "cases"), rows), _AFTERWORD)


def _failures(code: int) -> list[str]:
    """Return the first lines of the docstrings of all errors with a code."""
    classes = (value for value in vars(errors).values() if isinstance(value, type))
    found = [one for one in classes if issubclass(one, errors.DockyardError) and one.exit_code == code]
    return [(one.__doc__ or "").strip().partition("\n")[0] for one in found]


_INTRODUCTION = """\
All programs, and Test scripts that use dockyard's library, exit with one of these codes. Errors that a user can cause
print a message and a hint on stderr. A traceback is a bug: please report it.
"""

_AFTERWORD = """\
`d run X COMMAND` exits with the code of the command. A verb that works on several services exits with 1 if one of them
fails. It continues with the others, and the summary says which ones failed and why.
"""
