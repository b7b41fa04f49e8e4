#!/usr/bin/env python3
"""Figures of size and naming of Python code: `scripts/measure_code.py [--names] [DIRECTORY...]`, by default of src/.

Words of a name are separated by underscores; methods with two underscores at each side are named by Python and are left
out, as are stubs for type checkers. `--names` lists the names of classes and modules that are used more than once.
"""

import ast
import io
import re
import statistics
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).parents[1]
MAX_FUNCTION_LINES = 60
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
IMPORTS = (ast.Import, ast.ImportFrom)


class Module(NamedTuple):
    """What is measured of a file; `functions` are names with their lengths in lines."""

    path: Path
    lines: int
    comments: int
    functions: tuple[tuple[str, int], ...]
    classes: tuple[str, ...]
    inner_imports: int


def measure_module(path: Path) -> Module:
    """Return the figures of a file."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    functions = [node for node in ast.walk(tree) if isinstance(node, FUNCTIONS) and not is_special(node.name)]
    comments = sum(token.type == tokenize.COMMENT for token in tokenize.generate_tokens(io.StringIO(text).readline))
    return Module(
        path,
        len(text.splitlines()),
        comments,
        tuple((node.name, (node.end_lineno or node.lineno) - node.lineno + 1) for node in functions),
        tuple(node.name for node in tree.body if isinstance(node, ast.ClassDef)),
        sum(isinstance(node, IMPORTS) for function in outer_functions(tree) for node in ast.walk(function)),
    )


def is_special(name: str) -> bool:
    """Return whether Python itself names a method so."""
    return name.startswith("__") and name.endswith("__")


def outer_functions(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the functions that are in no other function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, FUNCTIONS):
            yield node
        else:
            yield from outer_functions(node)


def words_of(name: str) -> list[str]:
    """Return the words of a function's name."""
    return re.findall(r"[A-Za-z0-9]+", name)


def spread_of(values: Sequence[int]) -> str:
    """Return median, ninth decile and maximum."""
    ordered = sorted(values)
    return f"{statistics.median(ordered):.0f} / {ordered[int(0.9 * (len(ordered) - 1))]} / {ordered[-1]}"


def figures_of(modules: Sequence[Module]) -> dict[str, str]:
    """Return the rows of the table."""
    functions = [one for module in modules for one in module.functions]
    words = [len(words_of(name)) for name, _ in functions]
    lines = sum(module.lines for module in modules)
    long_ones = sum(length > MAX_FUNCTION_LINES for _, length in functions)
    return {
        "modules / lines": f"{len(modules)} / {lines}",
        "module lines: median / p90 / max": spread_of([module.lines for module in modules]),
        "functions": str(len(functions)),
        "function lines: median / p90 / max": spread_of([length for _, length in functions]),
        f"functions over {MAX_FUNCTION_LINES} lines": str(long_ones),
        "comments per 1000 lines": f"{1000 * sum(module.comments for module in modules) / lines:.0f}",
        "words per function name": f"{statistics.mean(words):.2f}",
        "one-word function names": f"{100 * sum(count == 1 for count in words) / len(words):.0f} %",
        "function-level imports": str(sum(module.inner_imports for module in modules)),
        "class names used more than once": str(len(repeated_classes(modules))),
        "module names used more than once": str(len(repeated_modules(modules))),
    }


def repeated_classes(modules: Sequence[Module]) -> dict[str, list[Path]]:
    """Return the public classes of a name that others have as well, by name."""
    places: dict[str, list[Path]] = defaultdict(list)
    for module in modules:
        for name in module.classes:
            if not name.startswith("_"):
                places[name].append(module.path)
    return {name: found for name, found in sorted(places.items()) if len(found) > 1}


def repeated_modules(modules: Sequence[Module]) -> dict[str, list[Path]]:
    """Return the modules of a name that others have as well, by name."""
    names = Counter(module.path.stem for module in modules if not is_special(module.path.stem))
    repeated = sorted(name for name, count in names.items() if count > 1)
    return {name: [module.path for module in modules if module.path.stem == name] for name in repeated}


def main(arguments: Sequence[str]) -> None:
    """Print the figures."""
    places = [Path(word) for word in arguments if not word.startswith("-")] or [REPOSITORY / "src"]
    modules = [measure_module(path) for place in places for path in sorted(place.rglob("*.py"))]
    for name, value in figures_of(modules).items():
        print(f"{name:36} {value}")
    if "--names" in arguments:
        for name, found in {**repeated_classes(modules), **repeated_modules(modules)}.items():
            print(f"{name}: {', '.join(str(path) for path in found)}")


if __name__ == "__main__":
    main(sys.argv[1:])
