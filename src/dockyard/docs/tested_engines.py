"""The page of tested engines and its short version in the README: the results of the last run of the matrix."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dockyard.docs.table import NONE, page, table

REPOSITORY = Path(__file__).parents[3]
RECORD = REPOSITORY / "docs/reference/engines-tested.json"
README = REPOSITORY / "README.md"
BEGIN, END = "<!-- tested engines: written by `python -m dockyard.docs` -->\n", "<!-- end of tested engines -->\n"

NAMES = {"docker": "Docker", "podman": "podman"}
HEAD = ("system", "engine", "image store", "builder", "runtime", "cgroup")
COUNTS = ("tests passed", "failed", "skipped")

INTRODUCTION = """
The results of the engine tests on each engine, from the last run. `make test-engines` runs them: a subset that touches
every feature once, or all of them (`ARGS=--all`). `make record-engines` writes this page. Engines other than those of
the host run in worlds: Debian systems in namespaces of their own. [The decision](../decisions/engine-matrix.md) says
how they work and what they cannot show.
"""
CORPORA = """
A corpus is a set of containers with attacks, which d-cowscan must find, and with harmless changes, which it must not
report.
"""


def tested_engines_page() -> str:
    """Return the page."""
    rows = _rows()
    return page(
        "Tested engines",
        INTRODUCTION.lstrip(),
        table((*HEAD, "tests", *COUNTS, "date"), (_row(one) for one in rows)),
        "## d-cowscan\n",
        CORPORA.lstrip(),
        table(("engine", "corpus", "attacks found", "false alarms"), (row for one in rows for row in _corpora(one))),
        "## What was skipped\n",
        table(("engine", "tests", "reason"), (row for one in rows for row in _skipped(one))),
        *(["## What failed\n", table(("engine", "test"), failed)] if (failed := _failed(rows)) else []),
    )


def readme() -> str:
    """Return the README with its table of engines."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    head = ("engine", *COUNTS, "attacks found", "false alarms")
    short = table(head, ((_title(one), *_counts(one), *_all_corpora(one)) for one in _rows()))
    return f"{before}{BEGIN}\n{short}\n{END}{after}"


def _rows() -> list[Mapping[str, Any]]:
    return list(json.loads(RECORD.read_text(encoding="utf-8")).values())


def _title(one: Mapping[str, Any]) -> str:
    """Return the name and properties that identify an engine, for one cell."""
    engine = one["engine"]
    parts = [f"{NAMES[engine['name']]} {_short(engine['version'])}"]
    if engine["name"] == "docker":
        parts += [
            engine["store"],
            f"{engine['builder']} builder" if engine["builder"] == "legacy" else engine["builder"],
        ]
    return f"{', '.join(parts)}, cgroup {engine['cgroup']} ({_system(engine)})"


def _short(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _system(engine: Mapping[str, str]) -> str:
    system = engine["system"].removesuffix("/sid").replace(" GNU/Linux", "")
    return "Debian unstable" if engine["system"].endswith("/sid") else system


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    engine = one["engine"]
    name = f"{NAMES[engine['name']]} {engine['version']}"
    facts = (_system(engine), name, engine["store"], engine["builder"], engine["runtime"], engine["cgroup"])
    return (*facts, "all" if one["subset"] == "all" else "subset", *_counts(one), one["date"])


def _counts(one: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(one["passed"]), str(len(one["failed"])), str(sum(one["skipped"].values()))


def _all_corpora(one: Mapping[str, Any]) -> tuple[str, str]:
    sums = {key: sum(corpus[key] for corpus in one["corpora"]) for key in ("found", "attacks", "alarms", "benign")}
    if not sums["attacks"]:
        return NONE, NONE
    return f"{sums['found']} of {sums['attacks']}", f"{sums['alarms']} of {sums['benign']}"


def _corpora(one: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            _title(one),
            corpus["what"],
            f"{corpus['found']} of {corpus['attacks']}",
            f"{corpus['alarms']} of {corpus['benign']}",
        )
        for corpus in one["corpora"]
    ]


def _skipped(one: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [(_title(one), str(count), reason) for reason, count in one["skipped"].items()]


def _failed(rows: list[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    return [(_title(one), f"`{test}`") for one in rows for test in one["failed"]]
