"""Whether a Test can fail at all, judged by its text without running it."""

import ast
import re

_IDLE = re.compile(r"(set|exit|true|:|echo|printf|sleep|shift)(\s.*)?|.*\bdockyard\.testing\b.*|.*\|\|\s*(true|:)")
"""Lines of a shell script that test nothing: they succeed whatever the service does, or only launch it."""
_CALLS_WITHOUT_TEST = {"print", "sleep", "wait_ready"}


def tests_nothing(text: str, *, is_observable: bool) -> bool:
    """Return whether a Test in Python or shell passes whatever the service does.

    `is_observable`: the service has a health check or ports, so waiting for it proves something. A Test in another
    language is assumed to test something.
    """
    first = text.partition("\n")[0]
    if re.search(r"\bd?\S*python", first):
        return _python_tests_nothing(text, is_observable)
    return bool(re.search(r"\b(ba|da|k|z|a)?sh\b", first)) and _shell_tests_nothing(text)


def _shell_tests_nothing(text: str) -> bool:
    lines = (line.strip() for line in re.sub(r"\\\n", " ", text).splitlines()[1:])
    return all(not line or line.startswith("#") or _IDLE.fullmatch(line) for line in lines)


def _python_tests_nothing(text: str, is_observable: bool) -> bool:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return False  # it always fails
    tests = [
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_")
    ]
    is_library = "dockyard.testing" in text
    return is_library and not any(_can_fail(node, is_observable) for test in tests for node in ast.walk(test))


def _can_fail(node: ast.AST, is_observable: bool) -> bool:
    if isinstance(node, ast.Assert):
        return not isinstance(node.test, ast.Constant)
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        return name not in _CALLS_WITHOUT_TEST or (name == "wait_ready" and is_observable)
    return isinstance(node, ast.Raise)
