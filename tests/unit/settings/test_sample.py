"""`d schema --sample`: it has every key, and is valid as it is and with every key set."""

import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from dockyard.cli.output import Result
from dockyard.cli.verb import VERBS
from dockyard.docs.commands import verbs
from dockyard.service import Service
from dockyard.settings.key import Key, Scope
from dockyard.settings.keys import KEYS
from dockyard.settings.load import HostLayers, load, read_file, read_host
from dockyard.settings.sample import render_sample
from dockyard.settings.schema import schema
from dockyard.settings.values import Mode
from dockyard.yard import Yard
from tests.unit.settings.test_schema import as_editors_see_it

assert verbs  # importing it registers the verbs

SCOPES = [Scope.SERVICE, Scope.HOST]
NO_HOST = HostLayers({}, {})


def allowed_in(scope: Scope) -> dict[str, Key[object]]:
    return {name: key for name, key in KEYS.items() if key.scope in {Scope.ANYWHERE, scope}}


def with_every_key_set(scope: Scope) -> str:
    """Return the sample without the marks of its commented lines."""
    return "".join(f"{line.removeprefix('# ')}\n" for line in render_sample(scope))


@pytest.mark.parametrize("scope", SCOPES)
def test_the_sample_sets_nothing_until_lines_are_uncommented(scope: Scope):
    text = "\n".join(render_sample(scope))
    assert all(line.startswith("#") for line in text.splitlines() if line)
    assert read_file(text, "sample", scope) == {}
    assert Draft202012Validator(schema(scope)).is_valid(as_editors_see_it(text))


@pytest.mark.parametrize("scope", SCOPES)
def test_every_key_of_the_file_is_in_the_sample(scope: Scope):
    set_by_it = read_file(with_every_key_set(scope), "sample", scope)
    assert [name for name in set_by_it if name in KEYS] == [*allowed_in(scope)]


def test_the_two_samples_have_every_key_of_the_table():
    text = "\n".join([*render_sample(Scope.SERVICE), *render_sample(Scope.HOST)])
    assert {*re.findall(r"^# (\w+):", text, re.MULTILINE)} >= {*KEYS}


@pytest.mark.parametrize("mode", Mode)
def test_the_sample_of_settings_loads_with_every_key_set(mode: Mode, tmp_path: Path):
    (tmp_path / "settings.yaml").write_text(with_every_key_set(Scope.SERVICE), encoding="utf-8")
    settings = load(Service(tmp_path), mode, NO_HOST)
    sources = {name: settings.values[name].source for name in allowed_in(Scope.SERVICE)}
    own_default = {key.name for key in KEYS.values() if "" not in key.spellings(mode)}
    assert {name for name, source in sources.items() if source in {"default", "the directory's name"}} <= own_default


def test_the_sample_of_the_host_file_loads_with_every_key_set(tmp_path: Path):
    (tmp_path / "host.yaml").write_text(with_every_key_set(Scope.HOST), encoding="utf-8")
    settings = read_host({"DOCKYARD_HOST": str(tmp_path / "host.yaml")}).settings()
    assert all("host.yaml" in settings.values[name].source for name in allowed_in(Scope.HOST))


@pytest.mark.parametrize("scope", SCOPES)
def test_the_schema_accepts_the_sample_with_every_key_set(scope: Scope):
    instance = as_editors_see_it(with_every_key_set(scope))
    assert [error.message for error in Draft202012Validator(schema(scope)).iter_errors(instance)] == []


@pytest.mark.parametrize("scope", SCOPES)
def test_help_comes_before_each_key_under_the_heading_of_its_section(scope: Scope):
    text = " ".join(line.removeprefix("## ") for line in render_sample(scope))
    places = [text.index(key.help) for key in allowed_in(scope).values()]
    assert places == sorted(places)
    headings = re.findall(r"-{10} ([\w ]+) -{10}", text)
    assert headings == [*dict.fromkeys(key.section for key in allowed_in(scope).values())]


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_an_example_sets_its_key(key: Key[object]):
    """Each key whose default is not a scalar has an example, and the schema shows it to editors."""
    assert key.example or isinstance(key.default, (bool, int, str))
    scope = Scope.HOST if key.scope is Scope.HOST else Scope.SERVICE
    if key.example:
        assert key.name in read_file(key.example, "example", scope)
        assert schema(scope)["properties"][key.name]["examples"] == [as_editors_see_it(key.example)[key.name]]


@pytest.mark.parametrize(("host", "scope"), [(False, Scope.SERVICE), (True, Scope.HOST)])
def test_the_verb_prints_the_sample(*, host: bool, scope: Scope):
    result = VERBS["schema"].function(Yard(), host=host, sample=True)
    assert result == Result(render_sample(scope))
