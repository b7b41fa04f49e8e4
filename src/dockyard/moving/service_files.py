"""The files of a new service: settings.yaml with a comment for each value, Dockerfile, Test."""

import json
import re
from collections.abc import Iterable, Iterator

from dockyard.errors import Problem, SettingsError
from dockyard.moving.context import Context
from dockyard.moving.network_rules import ALIAS
from dockyard.moving.outcome import Carried, Command, File, Line, Outcome
from dockyard.settings.keys import EXTRA_DOCKER, KEYS
from dockyard.settings.nodes import Mapping, Node, Scalar

PROGRAM = 0o755
MAPS = {"env", "labels", "ulimits", "healthcheck"}
PRODUCTION_ONLY = (f"{ALIAS}=", "--mac-address=", "--ip6=", "--link-local-ip=")
"""Flags for a network that test instances do not join."""

TEST = """\
#!/usr/bin/env dockyard-python
"{name} starts. Test here that it works: see docs/how-to/write-a-test.md."

from dockyard.testing import Container, main


def test_comes_up(container: Container) -> None:
    container.wait_ready(seconds=60)


main()
"""


def service_files(context: Context, outcomes: list[Outcome]) -> dict[str, File]:
    """Return a new service's files by their paths below its directory."""
    files = {outcome.path: outcome for outcome in outcomes if isinstance(outcome, File)}
    if not context.is_built:
        files["Dockerfile"] = File("Dockerfile", _dockerfile(context, outcomes))
    files["settings.yaml"] = File("settings.yaml", settings_text(context, outcomes))
    outside = [path for path in files if ".." in path.split("/")]
    if outside:
        problem = f"`{outside[0]}` is outside of the service's directory"
        raise SettingsError([Problem(context.part.node.where, problem, "write its target without `..`")])
    test = TEST.format(name=context.directory).replace('"', '"""', 2)
    files["Test"] = File("Test", test, mode=PROGRAM)
    return dict(sorted(files.items()))


def _dockerfile(context: Context, outcomes: list[Outcome]) -> str:
    image = context.part.at("image")
    lines = [f"# {image.where}"] if image else []
    lines += [outcome.text for outcome in outcomes if isinstance(outcome, Line)]
    if any(isinstance(outcome, File) and outcome.path.startswith("files/") for outcome in outcomes):
        lines.append("COPY files /")
    return "\n".join(lines) + "\n"


def settings_text(context: Context, outcomes: Iterable[Outcome]) -> str:
    """Return settings.yaml: each value with its line in the compose file."""
    every = list(outcomes)
    found: dict[str, list[Carried]] = {}
    for outcome in every:
        if isinstance(outcome, Carried) and outcome.key:
            found.setdefault(outcome.key, []).append(outcome)
    extra = found.get(EXTRA_DOCKER.name, [])
    lines = [f"# {context.name} of compose project {context.project.name}; comments name the source of each value"]
    commands = [outcome.text for outcome in every if isinstance(outcome, Command)]
    if commands:
        lines += [
            "# Before the first launch, while the old container is stopped:",
            *(f"#   {text}" for text in commands),
        ]
    for key in KEYS:
        if key in found:
            lines += _setting(key, found[key])
    if any(_text(one).startswith(PRODUCTION_ONLY) for one in extra):
        kept = [one for one in extra if not _text(one).startswith(PRODUCTION_ONLY)]
        lines += _setting(f"test_{EXTRA_DOCKER.name}", kept, "without flags that need production's network")
    return "\n".join(lines) + "\n"


def _text(outcome: Carried) -> str:
    return outcome.node.text if isinstance(outcome.node, Scalar) else ""


def _setting(key: str, values: list[Carried], remark: str = "") -> Iterator[str]:
    """Yield the lines of one setting."""
    scalars = [one for one in values if isinstance(one.node, Scalar)]
    is_list = key.startswith("test_") or KEYS[key].type.nothing == ()
    if key in MAPS and not scalars:
        yield f"{key}:"
        for one in values:
            yield from (f"  {line}{_comment([one])}" for line in _pairs(one.node))
    elif is_list and not values:
        yield f"{key}: []{_remark(remark)}"
    elif is_list:
        yield f"{key}:{_remark(remark)}"
        for one in values:
            text = written(one.node.text) if isinstance(one.node, Scalar) else next(_pairs(one.node))
            yield f"  - {text}{_comment([one])}"
    else:
        yield f"{key}: {written(_text(scalars[0]))}{_comment(scalars)}"


def _pairs(node: Node) -> Iterator[str]:
    """Yield the pairs of a map, each on a line."""
    for name, value in node.pairs if isinstance(node, Mapping) else ():
        yield f"{written(name.text)}: {_value(value)}"


def _value(value: Node) -> str:
    """Return a value on one line."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(_pairs(value))}}}"
    return written(value.text if isinstance(value, Scalar) else "")


def _comment(outcomes: list[Carried]) -> str:
    places = dict.fromkeys(part.where for outcome in outcomes for part in outcome.parts)
    said = next((outcome.how for outcome in outcomes if outcome.how), "as compose does")
    return _remark(", ".join(places) or said)


def _remark(text: str) -> str:
    return f" # {text}" if text else ""


def written(text: str) -> str:
    """Return a text as YAML: plain if it is unambiguous, otherwise in quotes."""
    is_plain = re.fullmatch(r"(-{0,2}[A-Za-z0-9_./])[A-Za-z0-9_./@%+,:=-]*", text) and not text.endswith(":")
    return text if is_plain and text not in {"~", "null", "Null", "NULL"} else json.dumps(text, ensure_ascii=False)
