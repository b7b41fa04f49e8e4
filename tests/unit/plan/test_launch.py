"""Settings and facts in, the launch out: one file a case, tests/golden/launch/NAME.yaml.

A case says what it holds (`about`), the `settings`, and only as much of the rest as matters: `mode` (prod), `service`
(web), `host` (the host file's text; without it, no puid and no tz), `environ`, `flags`, `options`, and `facts`, where
the image and the network that are asked for exist unless it says otherwise. `expect` holds the steps as they are shown,
a line for each flag, and the notes; or the lines of an error, with its exit code.
"""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from dockyard.engine.dialect import DOCKER, PODMAN
from dockyard.engine.models import Container, Image, Network
from dockyard.errors import DockyardError
from dockyard.plan.launch import LaunchOptions, LaunchPlan, plan_launch, questions
from dockyard.plan.values import Command, Facts, HostFacts, Owner, PathFact, Questions
from dockyard.settings.key import Scope
from dockyard.settings.keys import KEYS
from dockyard.settings.load import read_file
from dockyard.settings.resolve import Settings
from dockyard.settings.values import Mode
from tests.unit.making import GOLDEN, IMAGE_ID, settings_of

FILES = sorted((GOLDEN / "launch").glob("*.yaml"))
HOST_FILE = 'puid: ""\ntz: ""\n'
DIALECTS = {"docker": DOCKER, "podman": PODMAN}


def _case(file: Path) -> dict[str, Any]:
    return YAML(typ="safe", pure=True).load(file)


def _settings(case: dict[str, Any]) -> Settings:
    flags = {name: tuple(value) if isinstance(value, list) else value for name, value in case.get("flags", {}).items()}
    return settings_of(
        case.get("settings", ""),
        Mode(case.get("mode", "prod")),
        service=case.get("service", "web"),
        environ=case.get("environ"),
        host=case.get("host", HOST_FILE),
        flags=flags,
    )


def _facts(given: dict[str, Any], asked: Questions) -> Facts:
    """Return the answers to what was asked; what was not asked for and is answered is a fault of the case."""
    answers = {"images": asked.images, "addresses": asked.lookups, "matches": asked.patterns}
    for kind, questions_ in answers.items():
        assert set(given.get(kind, ())) <= set(questions_), f"nobody asks for these {kind}"
    matched = {path for paths in given.get("matches", {}).values() for path in paths}
    assert set(given.get("paths", ())) <= {*asked.paths, *matched}, "nobody asks for these paths"
    assert asked.network or "network" not in given, "nobody asks for the network"
    network = given.get("network", {})
    return Facts(
        dialect=DIALECTS[given.get("engine", "docker")],
        host=HostFacts("harbour", given.get("zone", "")),
        images={
            name: Image(**image) for name, image in given.get("images", {asked.images[0]: {"id": IMAGE_ID}}).items()
        },
        container=Container(image_id=IMAGE_ID, **given["container"]) if "container" in given else None,
        network=Network(asked.network, **{"driver": "bridge", **network})
        if asked.network and network is not None
        else None,
        addresses=given.get("addresses", {}),
        paths={path: _path_fact(fact) for path, fact in given.get("paths", {}).items()},
        matches={pattern: tuple(paths) for pattern, paths in given.get("matches", {}).items()},
        users={name: Owner(*ids) for name, ids in given.get("users", {}).items()},
        groups=given.get("groups", {}),
    )


def _path_fact(given: str | dict[str, Any]) -> PathFact:
    """Return what stands at a path; a word alone is a kind, root's and for all to read."""
    fact = {"kind": given} if isinstance(given, str) else given
    return PathFact(**{"uid": 0, "gid": 0, "mode": 0o755, **fact})


def plan_of_case(case: dict[str, Any]) -> LaunchPlan:
    service, settings = case.get("service", "web"), _settings(case)
    options = LaunchOptions(**case.get("options", {}))
    given = case.get("facts", {})
    asked = questions(service, settings, options, DIALECTS[given.get("engine", "docker")], "harbour")
    return plan_launch(service, settings, _facts(given, asked), options)


def outcome(case: dict[str, Any]) -> dict[str, Any]:
    """Return what a case leads to, as `expect` has it."""
    try:
        plan = plan_of_case(case)
    except DockyardError as error:
        return {"error": error.lines(), "exit_code": error.exit_code}
    *steps, launch = plan.shell(case.get("facts", {}).get("engine", "docker"))
    before, run, flags = launch.partition(" run ")
    image = plan.image if f" {plan.image}" in flags else plan.image_id
    lines = [*steps, before + run.rstrip() + f" {flags}".replace(" --", "\n  --").replace(f" {image}", f"\n  {image}")]
    return {"steps": "".join(f"{line}\n" for line in lines), **({"notes": list(plan.notes)} if plan.notes else {})}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_settings_and_facts_lead_to_the_launch_that_is_written_down(file: Path):
    case = _case(file)
    assert outcome(case) == case["expect"], case["about"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_word_of_a_command_is_text(file: Path):
    case = _case(file)
    if "steps" in case["expect"]:
        words = [word for step in plan_of_case(case).steps if isinstance(step, Command) for word in step.argv]
        assert {type(word) for word in words} == {str}


HAS_NO_PART_IN_A_LAUNCH = {
    *("autostart", "engine", "d_src_dir", "d_src_dir2", "secret_command"),
    *("build_repo", "build_params", "build_podman_shared_apk_cache", "drun_test_prod"),
}


def test_every_key_of_the_table_has_a_case():
    covered = set(HAS_NO_PART_IN_A_LAUNCH)
    for case in map(_case, FILES):
        layers = [
            read_file(case.get("settings", ""), "f", Scope.SERVICE),
            read_file(case.get("host", ""), "f", Scope.HOST),
        ]
        words = {word for layer in (*layers, case.get("flags", {})) for word in layer}
        covered |= {word.removeprefix("test_").removeprefix("dev_") for word in words}
    assert {name for name, key in KEYS.items() if not key.not_yet} - covered == set()


@pytest.mark.parametrize("mode", list(Mode))
def test_every_mode_has_a_case(mode: Mode):
    assert any(case.get("mode", "prod") == mode.value for case in map(_case, FILES))
