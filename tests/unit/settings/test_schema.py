"""The JSON Schema of settings: never stricter than dockyard itself, and as strict as a schema can be."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from dockyard.errors import SettingsError
from dockyard.settings.key import Scope
from dockyard.settings.keys import KEYS
from dockyard.settings.load import read_file
from dockyard.settings.schema import MODELINE, schema
from dockyard.share import SCHEMA
from tests.unit.making import GOLDEN

REPOSITORY = GOLDEN.parents[1]
EXAMPLES = sorted(REPOSITORY.glob("examples/*/settings.yaml"))
GOLDENS = sorted((GOLDEN / "launch").glob("*.yaml"))
NOT_FOR_A_SCHEMA = {"syntax", "tab", "twice"}
"""Files with errors that a schema cannot find: invalid YAML, and duplicate names."""


def validator(scope: Scope = Scope.SERVICE) -> Draft202012Validator:
    return Draft202012Validator(schema(scope))


def as_editors_see_it(text: str) -> Any:  # noqa: ANN401 - any YAML value
    """Return the YAML 1.2 value of a text as JSON has it; duplicate names are ignored."""
    reader = YAML(typ="safe", pure=True)
    reader.allow_duplicate_keys = True
    return plain(reader.load(text))


def plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.isoformat() if isinstance(value, dt.date) else value


def faults(text: str, scope: Scope = Scope.SERVICE) -> set[str]:
    """Return the keys that a schema rejects."""
    document, instance = schema(scope), as_editors_see_it(text)
    unknown = set(instance or {}) - set(document["properties"])
    found = {str(error.absolute_path[0]) for error in validator(scope).iter_errors(instance) if error.absolute_path}
    assert validator(scope).is_valid(instance) == (not found and not unknown)
    return found | unknown


@pytest.mark.parametrize("scope", [Scope.SERVICE, Scope.HOST])
def test_it_is_a_schema(scope: Scope):
    """The schema itself is valid JSON Schema 2020-12, and can be written as JSON."""
    Draft202012Validator.check_schema(schema(scope))
    assert json.loads(json.dumps(schema(scope))) == schema(scope)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.parent.name)
def test_examples_fit_and_say_where_their_schema_is(file: Path):
    """Each example begins with a line that names the schema in this checkout for editors, and is valid."""
    text = file.read_text(encoding="utf-8")
    first = text.partition("\n")[0]
    assert first.startswith(MODELINE)
    assert (file.parent / first.removeprefix(MODELINE)).resolve() == SCHEMA.resolve()
    assert faults(text) == set()


@pytest.mark.parametrize("file", GOLDENS, ids=lambda file: file.stem)
def test_what_dockyard_accepts_fits(file: Path):
    """The settings and host file of every golden launch are valid."""
    case = YAML(typ="safe", pure=True).load(file)
    assert faults(case.get("settings", "")) == set()
    assert faults(case.get("host", ""), Scope.HOST) == set()


WRONG = [file for file in sorted((GOLDEN / "wrong").glob("*.yaml")) if file.stem not in NOT_FOR_A_SCHEMA]


BEYOND_A_SCHEMA = {
    "quoting": {"cmd", "extra_docker"},  # quotes that do not balance
    "taken-names": {"env"},  # a secret in a variable that the engine's client reads
    "volumes": {"mount_persistent_test_ro"},  # a target that is wrong only because its source is a pattern
}


@pytest.mark.parametrize("file", WRONG, ids=lambda file: file.stem)
def test_what_is_wrong_does_not_fit(file: Path):
    """The schema rejects exactly the keys that dockyard rejects, except for a list of those that it cannot check."""
    text = file.read_text(encoding="utf-8")
    refused = {key for key, value in as_editors_see_it(text).items() if is_refused(key, value)}
    assert faults(text) == refused - BEYOND_A_SCHEMA.get(file.stem, set())
    assert faults(text)


def is_refused(key: str, value: object) -> bool:
    """Return whether dockyard rejects a key with a value."""
    try:
        read_file(json.dumps({key: value}), "settings.yaml", Scope.SERVICE)
    except SettingsError:
        return True
    return False


def lines(text: str) -> dict[str, str]:
    """Return lines `KEY: VALUE`, each with its key."""
    return {line: line.partition(":")[0] for line in text.strip().splitlines()}


RIGHT = """
fg: "TRUE"
rm: 1
memory: 64
cpus: 1.5
name: 8080
ports: 80:80/UDP
ports: {80: 80, "127.0.0.1:81": 81}
ports: ["[::1]:80:80", "80-82:80-82", "80, 80"]
port_offset: auto
log: NO
log: s:udp://host:514
env: {A: 1, B: true, C: , D: "*secret"}
env: [A=1, {B: 2}, "C="]
autostart: 4
autostart: 4,host=harbour
ip: 0
ip: \\-
ip: fd00::1
vols: data
vols: [{data: , owner: user/web}, {path: key, contents: "", perm: 0750}, {conf: {owner: web}}]
mount_ro: /etc/ssl
mount_ro: [data, {"site-*": /sites/}, "a:/b", "a, /b", {a: }]
healthcheck: none
healthcheck: {cmd: [curl, localhost], retries: 3, interval: 10s}
cowscan: {path: /var/log/**, reason: logs, until: 2027-01-31}
restart: on-failure:3
tz:
dns: ""
test_dns: [8.8.8.8]
dev_fg: false
cmd: [sh, -c, 1]
"""


@pytest.mark.parametrize("line", lines(RIGHT))
def test_all_spellings_fit(line: str):
    """The schema accepts every spelling that dockyard accepts."""
    read_file(line, "settings.yaml", Scope.SERVICE)
    assert faults(line) == set()


NOT_RIGHT = """
mount_r: {data: /data}
vol_base: /srv
test_vol_base: /srv
rm: maybe
memory: 64 MB
restart: sometimes
test_copy: fast
name:
port_offset: 70000
log: a driver
autostart: soon
ip: 10.0.0.256
subnet: 256
ports: 80
ports: [{}]
env: [B]
mount_ro: {data: relative}
mount_ro: ["../a:/a"]
vols: /
vols: [../etc]
vols: [logs/*]
vols: [{path: a, mode: 0700}]
vols: [{path: a, perm: rwx}]
vols: [{key: , contents: "file:../other"}]
vol_defaults: {type: dir}
healthcheck: {every: 10s}
cowscan: [{path: /x}]
cowscan: [{path: x, reason: y}]
labels: [dockyard.mode=prod]
shift_uids: auto
"""


@pytest.mark.parametrize("line", lines(NOT_RIGHT))
def test_what_a_schema_can_know_is_refused(line: str):
    """The schema rejects values that dockyard rejects for their form."""
    with pytest.raises(SettingsError):
        read_file(line, "settings.yaml", Scope.SERVICE)
    assert faults(line)


def test_editors_have_something_to_offer():
    """Every key has a description and its overrides; possible words of a key are listed, for completion."""
    document = schema(Scope.SERVICE)
    for key in KEYS.values():
        if key.scope is Scope.HOST:
            assert key.name not in document["properties"]
            continue
        for name in (*key.names, f"test_{key.name}", f"dev_{key.name}"):
            assert key.help in document["properties"][name]["description"]
    assert {"enum": ["no", "always", "unless-stopped"]} in document["$defs"]["restart"]["anyOf"]
    assert document["$defs"]["test_copy"] == {"enum": ["auto", "reflink", "overlay", "copy"]}
    assert document["properties"]["repo1"]["default"] == "ktools"
