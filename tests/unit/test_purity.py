"""Which module may do what: the plan is pure, children are started in one place, programs start fast."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import dockyard

SOURCE = Path(dockyard.__file__).parent
MODULES = [path for path in sorted(SOURCE.rglob("*.py")) if "templates" not in path.parts]
PURE = [
    *sorted((SOURCE / "plan").glob("*.py")),
    *(path for path in sorted((SOURCE / "settings").glob("*.py")) if path.name != "load.py"),
    *(
        SOURCE / "engine" / name
        for name in ("about.py", "dialect.py", "differences.py", "entries.py", "identity.py", "models.py")
    ),
    *(
        SOURCE / "updates" / name
        for name in (
            "base.py",
            "pending.py",
            "policy.py",
            "sightings.py",
            "tag_pattern.py",
            "track.py",
            "version.py",
            "window.py",
        )
    ),
    *(
        SOURCE / "registry" / name
        for name in ("challenge.py", "endpoints.py", "manifest.py", "proxies.py", "reference.py")
    ),
    *(SOURCE / name for name in ("text.py", "errors.py")),
]
OUTSIDE = {
    "os",
    "subprocess",
    "socket",
    "pathlib",
    "shutil",
    "tempfile",
    "glob",
    "time",
    "random",
    "secrets",
    "io.open",
}
STARTS_CHILDREN = {"process.py", "reaper.py"}


def _name(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def _imports(path: Path) -> set[str]:
    """Return the top names of all that a module imports, at whatever depth."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def _calls(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}


@pytest.mark.parametrize("path", PURE, ids=_name)
def test_a_pure_module_touches_nothing_outside(path: Path):
    assert {name.split(".")[0] for name in _imports(path)} & OUTSIDE == set()
    assert _calls(path) & {"open", "print", "input", "exec", "eval", "__import__"} == set()


@pytest.mark.parametrize("path", PURE, ids=_name)
def test_a_pure_module_imports_only_pure_modules_of_ours(path: Path):
    pure = {"dockyard." + _name(module).removesuffix(".py").replace("/", ".") for module in PURE}
    ours = {name for name in _imports(path) if name.startswith("dockyard.")}
    packages = {f"dockyard.{_name(module).partition('/')[0]}" for module in PURE}
    assert ours - pure - packages == set()


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_children_are_started_in_one_place(path: Path):
    """Always an argv, so that no text from outside is ever read by a shell."""
    assert ("subprocess" in _imports(path)) == (_name(path) in STARTS_CHILDREN)


@pytest.mark.parametrize("path", [SOURCE / name for name in STARTS_CHILDREN], ids=_name)
def test_no_child_is_a_shell(path: Path):
    assert "shell=" not in path.read_text(encoding="utf-8")


# Programs, and what are programs too: Test scripts, and the writer of the reference.
BELOW_PROGRAMS = [path for path in MODULES if not _name(path).startswith(("cli/", "testing/", "docs/"))]


@pytest.mark.parametrize("path", BELOW_PROGRAMS, ids=_name)
def test_what_is_below_the_programs_neither_knows_them_nor_prints(path: Path):
    assert not [name for name in _imports(path) if name.startswith("dockyard.cli")]
    assert "print" not in _calls(path)


NOT_AT_THE_START = {"ruamel", "pytest", "pathspec", "asyncio", "concurrent", "rich", "testinfra", "click"}


@pytest.mark.parametrize("program", ["d", "d_run", "d_build", "d_map", "d_cowscan"])
def test_a_program_starts_without_what_it_rarely_needs(program: str):
    code = f"import sys, dockyard.cli.{program}; print(*sys.modules, sep='\\n')"
    done = subprocess.run((sys.executable, "-I", "-c", code), capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.splitlines()}
    assert "dockyard" in loaded
    assert loaded & NOT_AT_THE_START == set()


NOT_FOR_A_LIST = {"argparse", "difflib", "shutil", "tempfile", "json", "sqlite3"}


def test_a_list_is_made_without_what_only_other_verbs_need():
    """`d ls`, typed all day, is to take little longer than its interpreter and its question to the engine."""
    code = (
        "import sys; from dockyard.cli.verb import WORDS; import dockyard.cli.d;"
        "WORDS['ls']._read([]); import dockyard.lock, dockyard.yard, dockyard.engine.engine;"
        "dockyard.yard.Yard().settings; print(*sys.modules, sep='\\n')"
    )
    done = subprocess.run((sys.executable, "-I", "-c", code), capture_output=True, text=True, check=True)
    assert set(done.stdout.splitlines()) & NOT_FOR_A_LIST == set()
