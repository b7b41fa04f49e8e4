"""Settings and facts in, the launch out: one file for each case, tests/golden/launch/NAME.yaml.

A case has a description (`about`), the `settings`, and only the other fields that matter: `mode` (prod), `service`
(web), `host` (the host file's text; without it, no puid and no tz), `environ`, `flags`, `options`, and `facts`. In
`facts`, the requested image and network exist by default. `expect` contains the steps as printed, a line for each flag,
and the notes (`alone`: why it cannot start first); or the lines of an error, with its exit code. A copy is described in
words: its shell commands are tested on real directories.
"""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from dockyard.engine.dialect import DOCKER, PODMAN
from dockyard.engine.models import Container, IdMap, IdRange, Image, Network
from dockyard.errors import DockyardError
from dockyard.plan.facts import Accounts, Facts, HostFacts, Owner, PathFact, Questions
from dockyard.plan.launch import LaunchOptions, LaunchPlan, plan_launch, questions
from dockyard.plan.values import Command, Copy, CopyFact, CopyMethod, Step
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
    """Return the answers to the questions; an answer without a question is an error in the case."""
    answers = {"images": asked.images, "addresses": asked.lookups, "matches": asked.patterns}
    for kind, questions_ in answers.items():
        assert set(given.get(kind, ())) <= set(questions_), f"nobody asks for these {kind}"
    matched = {path for paths in given.get("matches", {}).values() for path in paths}
    assert set(given.get("paths", ())) <= {*asked.paths, *matched}, "nobody asks for these paths"
    assert asked.network or "network" not in given, "nobody asks for the network"
    assert asked.labels or "siblings" not in given, "nobody asks for other instances"
    assert asked.ids or "ids" not in given, "nobody asks for ids"
    copied = {path for source in asked.copied for path in given.get("matches", {}).get(source, (source,))}
    assert set(given.get("copies", ())) <= copied, "nobody asks for these copies"
    hosts = given.get("host", {})
    assert set(hosts.get("users", ())) <= set(asked.users), "nobody asks for these users of the host"
    assert set(hosts.get("groups", ())) <= set(asked.groups), "nobody asks for these groups of the host"
    network = given.get("network", {})
    return Facts(
        dialect=DIALECTS[given.get("engine", "docker")],
        host=HostFacts("harbour", given.get("zone", "")),
        images={
            name: Image(**image) for name, image in given.get("images", {asked.images[0]: {"id": IMAGE_ID}}).items()
        },
        container=Container(image_id=IMAGE_ID, **given["container"]) if "container" in given else None,
        siblings=tuple(Container(image_id=IMAGE_ID, **sibling) for sibling in given.get("siblings", ())),
        network=Network(asked.network, **{"driver": "bridge", **network})
        if asked.network and network is not None
        else None,
        addresses=given.get("addresses", {}),
        paths={path: _path_fact(path, fact) for path, fact in given.get("paths", {}).items()},
        matches={pattern: tuple(paths) for pattern, paths in given.get("matches", {}).items()},
        copies={path: CopyFact(**fact) for path, fact in given.get("copies", {}).items()},
        ids=IdMap(*((IdRange(*given["ids"]),),) * 2) if "ids" in given else IdMap(),
        accounts=_accounts(given),
        host_accounts=_accounts(given.get("host", {})),
    )


def _accounts(given: dict[str, Any]) -> Accounts:
    users = {name: Owner(*ids) for name, ids in given.get("users", {}).items()}
    return Accounts(users, given.get("groups", {}))


def _path_fact(path: str, given: str | dict[str, Any]) -> PathFact:
    """Return the facts of a path; a single word is a kind, owned by root and readable by all."""
    fact = {"kind": given} if isinstance(given, str) else given
    return PathFact(**{"uid": 0, "gid": 0, "mode": 0o755, "real": path, **fact})


def plan_of_case(case: dict[str, Any]) -> LaunchPlan:
    service, settings = case.get("service", "web"), _settings(case)
    options = LaunchOptions(**case.get("options", {}))
    given = case.get("facts", {})
    asked = questions(service, settings, options, DIALECTS[given.get("engine", "docker")], "harbour")
    return plan_launch(service, settings, _facts(given, asked), options)


def _shown(step: Step, program: str) -> str:
    if not isinstance(step, Copy):
        return step.shell(program)
    how = step.method.value + f" in {step.layers}" * (step.method is CopyMethod.OVERLAY)
    or_copy = " or copy" * (step.or_copy and step.method is not CopyMethod.COPY)
    return f"copy {step.source} to {step.path}: {step.extent.value}, by {how}{or_copy}"


def outcome(case: dict[str, Any]) -> dict[str, Any]:
    """Return the outcome of a case in the form of `expect`."""
    try:
        plan = plan_of_case(case)
    except DockyardError as error:
        return {"error": error.lines(), "exit_code": error.exit_code}
    *steps, launch = (_shown(step, case.get("facts", {}).get("engine", "docker")) for step in plan.steps)
    before, run, flags = launch.partition(" run ")
    image = plan.image if f" {plan.image}" in flags else plan.image_id
    lines = [*steps, before + run.rstrip() + f" {flags}".replace(" --", "\n  --").replace(f" {image}", f"\n  {image}")]
    told = {"notes": list(plan.notes), "unfit": plan.advice, "copies": [chosen.reason for chosen in plan.copies]}
    told["alone"] = list(plan.alone)
    return {"steps": "".join(f"{line}\n" for line in lines), **{name: text for name, text in told.items() if text}}


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


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_comes_before_the_image_is_known_from_what_is_the_programs(file: Path):
    case = _case(file)
    if "steps" in case["expect"]:
        plan = plan_of_case(case)
        assert plan.argv[: len(plan.flags)] == plan.flags
        after = plan.argv[len(plan.flags) :]
        assert after[2 * (after[0] == "--entrypoint")] in {plan.image, plan.image_id}


HAS_NO_PART_IN_A_LAUNCH = {
    *("autostart", "check", "engine", "d_src_dir", "d_src_dir2", "secret_command"),
    *("build_repo", "build_params", "build_podman_shared_apk_cache", "drun_test_prod", "notify", "debug_tools"),
    *("base_image", "known_changes", "backup", "backup_max_age"),
    *("heartbeat", "keep_images", "max_age", "max_disk_use"),
    *("offline", "updates", "scan_command", "scan_severity"),
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
    assert set(KEYS) - covered == set()


@pytest.mark.parametrize("mode", list(Mode))
def test_every_mode_has_a_case(mode: Mode):
    assert any(case.get("mode", "prod") == mode.value for case in map(_case, FILES))
