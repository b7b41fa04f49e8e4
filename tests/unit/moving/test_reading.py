"""Compose files are read as compose reads them: variables, .env, merges, extends; and what is wrong is told."""

from pathlib import Path

import pytest

from dockyard.errors import DockyardError, SettingsError
from dockyard.moving.context import Wanted, is_secret
from dockyard.moving.dotenv import read_assignments
from dockyard.moving.importing import Import, plan_import
from dockyard.moving.interpolation import interpolate
from dockyard.moving.reading import read_project
from dockyard.moving.tree import seconds, size
from tests.unit.moving.cases import ENVIRON, compose

VARIABLES = {"SET": "value", "EMPTY": "", "OTHER": "o$x"}
TEXTS = [
    "$SET",
    "${SET}",
    "a${SET}b$SET.c",
    "$$SET",
    "$${SET}",
    "${SET:-x}",
    "${EMPTY:-x}",
    "${EMPTY-x}",
    "${UNSET:-x}",
    "${UNSET-x}",
    "${SET:+x}",
    "${EMPTY:+x}",
    "${EMPTY+x}",
    "${UNSET+x}",
    "${UNSET:-${SET}}",
    "${UNSET:-a${EMPTY:-${SET}}b}",
    "${UNSET}",
    "${OTHER}",
    "${SET:?wanted}",
    "${EMPTY?wanted}",
    "${UNSET:-}",
]


def test_variables_are_replaced_as_compose_does(tmp_path: Path):
    """Each form of a variable comes out as `docker compose config` has it."""
    lines = "".join(f"      V{number}: '{text}'\n" for number, text in enumerate(TEXTS))
    (tmp_path / "compose.yaml").write_text(f"services:\n  a:\n    image: x\n    environment:\n{lines}")
    theirs = compose(tmp_path, environ=VARIABLES)["services"]["a"]["environment"]
    ours = {f"V{number}": interpolate(text, VARIABLES).text for number, text in enumerate(TEXTS)}
    # compose writes a dollar twice, so that its answer can be read as a compose file again
    assert {name: text.replace("$", "$$") for name, text in ours.items()} == theirs


@pytest.mark.parametrize("text", ["${", "${}", "${SET:", "$", "a $ b", "${SET!x}", "${UNSET:?wanted}", "${EMPTY:?}"])
def test_what_is_no_variable_is_told(text: str):
    assert interpolate(text, VARIABLES).problem


DOTENV = r"""# a remark
PLAIN=value
export EXPORTED=yes
SPACED = around   # a remark
HASH=a#b
SINGLE='$PLAIN # kept'
DOUBLE="$PLAIN \"q\" # kept"
LINES="one
two\nthree"
REUSED=${PLAIN}/${DEFAULT:-d}
EMPTY=
COLON: value

"""


def test_env_files_are_read_as_compose_does(tmp_path: Path):
    """Quotes, remarks, lines and variables of an env_file come out as `docker compose config` has them."""
    (tmp_path / "x.env").write_text(DOTENV)
    (tmp_path / "compose.yaml").write_text("services:\n  a:\n    image: x\n    env_file: x.env\n")
    theirs = compose(tmp_path)["services"]["a"]["environment"]
    ours = {one.name: one.value or "" for one in read_assignments(DOTENV, "x.env", {})}
    assert {name: text.replace("$", "$$") for name, text in ours.items()} == theirs


@pytest.mark.parametrize("text", ["=x", "A B=c\n= d", "A='x", 'A="x', "-x=1"])
def test_what_is_no_assignment_is_told_with_its_line(text: str):
    with pytest.raises(SettingsError) as error:
        read_assignments(f"OK=1\n{text}", ".env", {})
    assert error.value.problems[0].where.startswith(".env:")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _imported(*texts: str, wanted: Wanted | None = None) -> Import:
    names = [f"compose{number or ''}.yaml" for number, _ in enumerate(texts)]
    for name, text in zip(names, texts, strict=True):
        Path(name).write_text(text)
    return plan_import(read_project(names, ENVIRON), wanted or Wanted(), "/rw/dv")


def _settings(plan: Import, name: str = "a") -> str:
    return next(service.files["settings.yaml"].text for service in plan.services if service.name == name)


@pytest.mark.usefixtures("project")
def test_a_later_file_counts_over_an_earlier_one(tmp_path: Path):
    """Maps by key, lists one after the other, commands replaced: settings say what compose makes of both files."""
    first = (
        "services:\n  a:\n    image: x\n    command: [one, two]\n    environment: [A=1, B=2]\n    cap_add: [NET_RAW]\n"
    )
    second = "services:\n  a:\n    command: [three]\n    environment: {B: '3'}\n    cap_add: [SYS_TIME]\n"
    text = _settings(_imported(first, second))
    theirs = compose(tmp_path, "-f", "compose.yaml", "-f", "compose1.yaml")["services"]["a"]
    assert (theirs["command"], theirs["environment"]) == (["three"], {"A": "1", "B": "3"})
    assert "cmd:\n  - three # compose1.yaml:3\n" in text
    assert "  A: 1 # compose.yaml:5\n  B: 3 # compose1.yaml:4\n" in text
    assert theirs["cap_add"] == ["NET_RAW", "SYS_TIME"]
    assert "cap_add:\n  - NET_RAW # compose.yaml:6\n  - SYS_TIME # compose1.yaml:5\n" in text


FAULTS = {
    "services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}": "services depend on each other",
    "services: {a: {image: x, depends_on: [c]}}": "no service `c`",
    "services: {a: {extends: b}, b: {extends: a}}": "services extend each other",
    "services: {a: {extends: {service: c}}}": "no service `c`",
    "services: {a: {command: x}}": "neither `image` nor `build`",
    "services: {TMP: {image: x}}": "the name `TMP` is reserved",
    "services: {}": "no services",
    "version: '3'": "no services",
    "- a": "expected a compose file",
    "services: {a: {image: x, image: y}}": "`image` is a duplicate key",
    "services: {a: {<<: 1, image: x}}": "`<<` needs a map",
    "services: {a: {image: '${X:?set it}'}}": "`X` has no value: set it",
    "services: {a: {image: x, ports: !reset []}}": "tags `!…` are not supported",
    "services: {a: {image: x, env_file: gone.env}}": "gone.env",
    "name: Ä\nservices: {a: {image: x}}": "is not a valid name of a project",
    "services: {a: {image: x, configs: [{source: c, target: /../../x}]}}\nconfigs: {c: {content: x}}": "is outside of",
}


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(("text", "message"), FAULTS.items(), ids=list(FAULTS.values()))
def test_a_project_that_cannot_be_is_an_error(text: str, message: str):
    """What no service can be made from is told in words, with its place."""
    with pytest.raises(DockyardError) as error:
        _imported(text)
    assert message in " ".join(error.value.lines())


@pytest.mark.usefixtures("project")
def test_waves_follow_dependencies():
    """A service starts after all that it depends on, or whose data it mounts; one of a profile not by itself."""
    plan = _imported(
        "services:\n"
        "  web: {image: x, depends_on: [app]}\n"
        "  app: {image: x, depends_on: {db: {condition: service_healthy}}}\n"
        "  db: {image: x, volumes: ['d:/d']}\n"
        "  backup: {image: x, volumes: ['d:/d']}\n"
        "  tool: {image: x, profiles: [t]}\n"
        "volumes: {d: }\n",
        wanted=Wanted(first_wave=4),
    )
    assert {service.name: service.wave for service in plan.services} == {
        "web": "7",
        "app": "6",
        "db": "5",
        "backup": "4",
        "tool": "",
    }
    reason = "several services of the compose project write to it"
    both = f'mount_rw:\n  - /rw/dv/backup/d: {{target: /d, shared: true, reason: "{reason}"}}'
    assert both in _settings(plan, "db")


@pytest.mark.usefixtures("project")
def test_a_prefix_keeps_the_names_by_which_services_find_each_other():
    """With other names, the service's own is an alias in its network; not under test, which has another."""
    text = _settings(_imported("services: {a: {image: x, init: true}}", wanted=Wanted(prefix="p-")), "p-a")
    assert "extra_docker:\n  - --network-alias=a # as compose does\n  - --init # compose.yaml:1\n" in text
    assert "test_extra_docker: # without flags that need production's network\n  - --init # compose.yaml:1\n" in text


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("DB_PASSWORD", "x", True),
        ("API_KEY", "x", True),
        ("token", "x", True),
        ("DB_PASSWORD_FILE", "/run/secrets/x", False),
        ("DATABASE_URL", "postgres://u:p@h/d", True),
        ("DATABASE_URL", "postgres://h/d", False),
        ("MONKEYS", "x", False),
        ("ALLOW_EMPTY_PASSWORD", "yes", False),
        ("PASSWORD_LENGTH", "12", False),
    ],
)
def test_secrets_are_known_by_name_or_by_a_password_in_an_address(name: str, value: str, expected: bool):
    assert is_secret(name, value) is expected


def test_sizes_and_durations():
    """Compose's ways of writing sizes and durations mean what its documentation says."""
    assert [size(text) for text in ("512", "1.5GB", "64MiB", "10 kb", "2g")] == ["512", "1.5g", "64m", "10k", "2g"]
    assert [seconds(text) for text in ("90s", "1m30s", "500ms", "1h", "x", "5")] == [90, 90, 0.5, 3600, None, None]
