from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.errors import NoSuchNameError, UsageError
from dockyard.service import Service, is_service, select, service_at, services_in

NAMES = st.text("abc-", min_size=1, max_size=4)


def _make(directory: Path, *files: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name in files:
        (directory / name).touch()
    return directory


@given(st.sets(NAMES), st.data())
def test_an_exact_name_wins(names: set[str], data: st.DataObject):
    name = data.draw(NAMES)
    assert select(name, {*names, name}) == name


@given(st.sets(NAMES, min_size=1), st.data())
def test_a_beginning_that_is_unique_is_enough(names: set[str], data: st.DataObject):
    name = data.draw(st.sampled_from(sorted(names)))
    beginning = name[: data.draw(st.integers(1, len(name)))]
    if [other for other in names if other.startswith(beginning)] == [name]:
        assert select(beginning, names) == name


@given(NAMES, st.sets(NAMES))
def test_what_is_selected_is_never_a_guess(beginning: str, names: set[str]):
    """Either the only name that begins so or the exact one, or an error."""
    matches = [name for name in names if name.startswith(beginning)]
    try:
        selected = select(beginning, names)
    except NoSuchNameError:
        assert beginning not in names
        assert len(matches) != 1
    else:
        assert selected in matches
        assert selected == beginning or len(matches) == 1


def test_several_matches_are_named():
    with pytest.raises(NoSuchNameError, match="`we` is ambiguous: web, web-a and wetter"):
        select("we", ["web-a", "web", "wetter", "mail"])


def test_the_nearest_name_is_named_where_none_begins_so():
    with pytest.raises(NoSuchNameError) as error:
        select("wbe", ["web", "mail"])
    assert error.value.lines() == ["no service begins with `wbe`", "hint: did you mean `web`?"]


def test_all_names_are_named_where_none_is_near():
    with pytest.raises(NoSuchNameError) as error:
        select("zzz", ["web", "mail"], "container")
    assert error.value.lines() == ["no container begins with `zzz`", "hint: there are mail and web"]
    with pytest.raises(NoSuchNameError) as error:
        select("zzz", ["web"])
    assert error.value.hint == "there is web"


def test_nothing_to_select_from_is_said():
    with pytest.raises(NoSuchNameError) as error:
        select("web", [], "container")
    assert error.value.hint == "there is no container"
    with pytest.raises(NoSuchNameError) as error:
        select("web", [])
    assert "`d new NAME`" in error.value.hint
    assert "`d init`" in error.value.hint


@pytest.mark.parametrize("name", ["Dockerfile", "settings.yaml", "Build"])
def test_a_directory_is_a_service_by_its_files(tmp_path: Path, name: str):
    assert not is_service(tmp_path)
    assert is_service(_make(tmp_path, name))


def test_services_are_found_by_name_hidden_ones_apart(tmp_path: Path):
    for name in ("web", "mail", ".git"):
        _make(tmp_path / name, "Dockerfile")
    _make(tmp_path / "notes", "README")
    (tmp_path / "linked").symlink_to("web")
    assert [service.name for service in services_in([str(tmp_path), None])] == ["linked", "mail", "web"]


def test_of_two_services_of_one_name_the_first_directorys_counts(tmp_path: Path):
    for parent in ("one", "two"):
        _make(tmp_path / parent / "web", "Dockerfile")
    assert services_in([str(tmp_path / "one"), str(tmp_path / "two")]) == [Service(tmp_path / "one/web")]


def test_a_source_directory_that_is_missing_is_an_error(tmp_path: Path):
    with pytest.raises(UsageError, match="No such file"):
        services_in([str(tmp_path / "missing")])


def test_a_service_is_found_by_directory_before_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for parent in ("here", "all"):
        _make(tmp_path / parent / "web", "Dockerfile")
    monkeypatch.chdir(tmp_path / "here")
    assert service_at("web", [str(tmp_path / "all")]) == Service(tmp_path / "here/web")


@pytest.mark.parametrize("parent", ["first", "second"])
def test_a_service_is_found_by_name_in_both_source_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parent: str
):
    monkeypatch.chdir(_make(tmp_path / "elsewhere"))
    _make(tmp_path / "first")
    expected = _make(tmp_path / parent / "web", "settings.yaml")
    assert service_at("web", [str(tmp_path / "first"), str(tmp_path / "second")]) == Service(expected)


def test_where_we_are_keeps_the_name_of_a_symlink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A service that is a symlink in D_SRC_DIR is known by the link's name."""
    _make(tmp_path / "real", "Dockerfile")
    (tmp_path / "web").symlink_to("real")
    monkeypatch.chdir(tmp_path / "web")
    monkeypatch.setenv("PWD", str(tmp_path / "web"))
    assert service_at("", []).name == "web"


def test_a_stale_idea_of_where_we_are_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    _make(tmp_path / "other", "Dockerfile")
    monkeypatch.chdir(_make(tmp_path / "web", "Dockerfile"))
    monkeypatch.setenv("PWD", str(tmp_path / "other"))
    assert service_at("", []).name == "web"


def test_a_place_is_named_without_its_dots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(_make(tmp_path / "web", "Dockerfile"))
    assert service_at("../web/.", []).name == "web"


def test_a_directory_without_a_service_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    with pytest.raises(NoSuchNameError, match="no Dockerfile and no settings"):
        service_at("", [])


def test_a_service_that_is_not_there_is_an_error_with_the_nearest(tmp_path: Path):
    _make(tmp_path / "web", "Dockerfile")
    with pytest.raises(NoSuchNameError) as error:
        service_at("wbe", [str(tmp_path)])
    assert error.value.hint == "did you mean `web`?"


def test_no_service_may_be_called_as_the_test_areas_are(tmp_path: Path):
    with pytest.raises(UsageError, match="reserved for the data of test instances"):
        service_at(str(_make(tmp_path / "TMP", "Dockerfile")), [])


def test_a_script_that_is_missing_is_none(tmp_path: Path):
    assert Service(tmp_path).program("Test") is None


def test_a_script_that_is_executable_is_returned(tmp_path: Path):
    _make(tmp_path, "Test")
    (tmp_path / "Test").chmod(0o755)
    assert Service(tmp_path).program("Test") == tmp_path / "Test"


def test_a_script_that_is_not_executable_is_an_error(tmp_path: Path):
    """Passing over a Test in silence would promote what nobody tested."""
    _make(tmp_path, "Test")
    with pytest.raises(UsageError, match="not executable"):
        Service(tmp_path).program("Test")


@pytest.mark.parametrize(
    ("file", "buildable", "testable"),
    [
        ("Dockerfile", True, False),
        ("Build", True, False),
        ("settings.yaml", False, False),
        ("Test", False, True),
        ("Test-prod", False, True),
    ],
)
def test_what_a_service_can_do_is_told_by_its_files(tmp_path: Path, file: str, buildable: bool, testable: bool):
    service = Service(_make(tmp_path, file))
    assert (service.is_buildable, service.is_testable) == (buildable, testable)
