"""Collects all advice that dockyard gives: hints of errors, and what `d check` proposes to write.

`python -m tests.unit.advice` adds what is missing in tests/golden/advice.yaml, as `unreviewed`, and removes the rest.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

SOURCE = Path(__file__).parents[2] / "src/dockyard"
LIST = Path(__file__).parents[1] / "golden/advice.yaml"
UNREVIEWED = "unreviewed"

_KEYWORDS = {"hint", "write", "instead", "fix", "when_stuck"}
_POSITIONS = {"Problem": 2, "_problem": 2, "Left": 2, "Found": 2, "Finding": 2, "without_fix": 0}
_NAMES = re.compile(
    r"(\w*_)?(hint|hints|write|fix|instead)|STOP_FIRST|_GET_BUILDKIT|_UNKNOWN_USE|_SAFE_PLACE|_RESTORE|ADDED",
    re.IGNORECASE,
)
_FUNCTIONS = re.compile(r"_?(hint|fix|remedy|faults|missing_capabilities|when_stuck|in_use)")
_PAIRS = {"scan/lint.py", "scan/rule_file.py"}
"""Modules whose functions yield or append messages with their hints, as pairs."""


def all_advice() -> set[str]:
    """Return every text, with `{…}` for what is filled in."""
    return {text for path in sorted(SOURCE.rglob("*.py")) for text in _of_module(path) if text.strip(" {}…`.,:;\n")}


def listed() -> dict[str, list[str]]:
    """Return the reviewed list: texts by verdict."""
    return yaml.safe_load(LIST.read_text(encoding="utf-8")) or {}


def _of_module(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    has_pairs = path.relative_to(SOURCE).as_posix() in _PAIRS
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _of_call(node)
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and _NAMES.fullmatch(target.id) for target in targets):
                yield from _texts(node.value)
        elif isinstance(node, (ast.FunctionDef,)) and _FUNCTIONS.fullmatch(node.name):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return):
                    yield from _texts(inner.value)
        if has_pairs and isinstance(node, ast.Tuple) and len(node.elts) == 2:
            yield from _texts(node.elts[1])


def _of_call(node: ast.Call) -> Iterator[str]:
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    for keyword in node.keywords:
        if keyword.arg in _KEYWORDS:
            yield from _texts(keyword.value)
    first = _POSITIONS.get(name, 1 if name.endswith("Error") else None)
    for argument in node.args[first:] if first is not None else ():
        yield from _texts(argument)


def _texts(node: ast.AST | None) -> Iterator[str]:
    """Yield the texts that an expression may be; nothing for what other code makes."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(part.value if isinstance(part, ast.Constant) else "{…}" for part in parts)
            for part in parts:
                if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.IfExp):
                    yield from _texts(part.value)
        case _:
            for part in _alternatives(node):
                yield from _texts(part)


def _alternatives(node: ast.AST | None) -> list[ast.expr]:
    """Return the expressions of which one or all become the value of another."""
    match node:
        case ast.IfExp(body=first, orelse=second) | ast.BinOp(left=first, right=second):
            return [first, second]
        case ast.BoolOp(values=values) | ast.Tuple(elts=values) | ast.List(elts=values) | ast.Dict(values=values):
            return list(values)
    return []


def main() -> None:
    """Bring the list up to date."""
    known, now = listed(), all_advice()
    verdicts = {verdict: sorted(set(texts) & now) for verdict, texts in known.items()}
    new = now - {text for texts in known.values() for text in texts}
    verdicts[UNREVIEWED] = sorted({*verdicts.get(UNREVIEWED, []), *new})
    # A line each: so two changes of the list seldom touch the same one.
    text = yaml.safe_dump(
        {key: value for key, value in verdicts.items() if value}, allow_unicode=True, width=10_000, sort_keys=False
    )
    head = LIST.read_text(encoding="utf-8") if LIST.exists() else ""
    LIST.write_text("".join(line for line in head.splitlines(keepends=True) if line.startswith("#")) + text)


if __name__ == "__main__":
    main()
