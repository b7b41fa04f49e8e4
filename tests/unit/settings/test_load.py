from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dockyard.errors import Problem, SettingsError, UsageError
from dockyard.service import Service
from dockyard.settings.keys import (
    AUTOSTART,
    DNS,
    ENV,
    FOREGROUND,
    HOSTNAME,
    IP,
    KEYS,
    LOG,
    NAME,
    NETWORK,
    PORTS,
    PUID,
    REPO1,
    RM,
    SUBNET,
    TAG,
    VOL_BASE,
    Key,
    Scope,
)
from dockyard.settings.load import Flags, HostLayers, load, read_host
from dockyard.settings.resolve import Settings, Value
from dockyard.settings.values import LogDriver, Mode, Wave
from tests.unit.making import problems_of, settings_of

PROD, DEV, TEST, IN_PLACE = Mode.PROD, Mode.DEV, Mode.TEST, Mode.IN_PLACE
NOTHING = HostLayers({}, {})


# ----------------------------------------------------------------------------------------------------- which layer wins
LAYERS: list[tuple[str, dict[str, Any]]] = [
    ("flag --repo", {"flags": {"repo1": "of-flag"}}),
    ("settings.yaml:1", {"text": "repo1: of-file"}),
    ("env KTOOLS_DRUN_REPO", {"environ": {"KTOOLS_DRUN_REPO": "of-environment"}}),
    ("host.yaml:1", {"host": "repo1: of-host-file"}),
]


@pytest.mark.parametrize("first", range(len(LAYERS)))
def test_of_several_layers_the_first_wins_and_is_named(first: int):
    given = {name: value for _, layer in LAYERS[first:] for name, value in layer.items()}
    value = settings_of(**given).value(REPO1)
    assert value.source == LAYERS[first][0]
    assert value.value.startswith("of-")


def test_what_no_layer_has_is_the_default():
    assert settings_of().value(REPO1) == Value("ktools", "default")


@pytest.mark.parametrize(
    ("layer", "source"),
    [({"text": "repo1:"}, "settings.yaml:1"), ({"flags": {"repo1": ""}}, "flag --repo")],
)
def test_a_value_that_is_left_empty_empties_the_key(layer: dict[str, Any], source: str):
    assert settings_of(**layer, host="repo1: other").value(REPO1) == Value(None, source, "repo1")


def test_an_environment_variable_that_is_empty_says_nothing():
    assert settings_of(environ={"KTOOLS_DRUN_REPO": ""}, host="repo1: other")[REPO1] == "other"


# ------------------------------------------------------------------------------------------------------------ overrides
OVERRIDES: list[tuple[str, dict[Mode, str]]] = [
    ("hostname: a", {PROD: "a", DEV: "a", TEST: "a", IN_PLACE: "a"}),
    ("hostname: a\ntest_hostname: b", {PROD: "a", DEV: "b", TEST: "b", IN_PLACE: "a"}),
    ("hostname: a\ndev_hostname: c", {PROD: "a", DEV: "c", TEST: "a", IN_PLACE: "a"}),
    ("hostname: a\ntest_hostname: b\ndev_hostname: c", {PROD: "a", DEV: "c", TEST: "b", IN_PLACE: "a"}),
]


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(("text", "expected"), OVERRIDES)
def test_overrides_count_in_their_modes_alone(text: str, expected: dict[Mode, str], mode: Mode):
    """Test uses `test_K`; dev uses `dev_K`, or `test_K` if there is no `dev_K`."""
    assert settings_of(text, mode)[HOSTNAME] == expected[mode]


@pytest.mark.parametrize("written", ["test_dns: []", "test_dns:", "test_dns: ~"])
def test_an_override_may_be_empty(written: str):
    text = f"dns: 192.0.2.1\n{written}"
    assert settings_of(text)[DNS] == ("192.0.2.1",)
    assert settings_of(text, TEST)[DNS] == ()


def test_an_override_counts_within_its_layer():
    """An override in the host file does not take precedence over the plain key in settings.yaml."""
    assert settings_of("hostname: a", TEST, host="test_hostname: b")[HOSTNAME] == "a"


def test_a_flag_is_stronger_than_any_override():
    assert settings_of("test_hostname: b", TEST, flags={"hostname": "c"})[HOSTNAME] == "c"


@pytest.mark.parametrize(
    ("given", "is_for_this_mode"),
    [
        ({"text": "hostname: a"}, False),
        ({"text": "test_hostname: a"}, True),
        ({"environ": {"KTOOLS_DRUN_HOSTNAME": "a"}}, False),
        ({"environ": {"DOCKYARD_TEST_HOSTNAME": "a"}}, True),
        ({"flags": {"hostname": "a"}}, True),
        ({}, False),
    ],
)
def test_a_value_knows_whether_it_was_given_for_the_mode(given: dict[str, Any], is_for_this_mode: bool):
    assert settings_of(mode=TEST, **given).value(HOSTNAME).for_this_mode == is_for_this_mode


def test_an_override_is_checked_where_its_mode_is_not_asked_for():
    assert [problem.where for problem in problems_of("test_ports: none\n")] == ["settings.yaml:1:13"]


# ------------------------------------------------------------------------------------------------- defaults by the mode
@pytest.mark.parametrize(
    ("key", "prod", "dev", "test", "in_place"),
    [
        (TAG, "live", "latest", "latest", "latest"),
        (FOREGROUND, False, True, True, True),
        (RM, False, True, True, True),
        (SUBNET, None, 3, 3, None),
        (LOG, None, LogDriver("none"), None, None),
        (NETWORK, "bridge", "bridge", "bridge", "bridge"),
        (KEYS["name_prefix"], "", "dev-", "test-", ""),
        (NAME, "web", "web", "web", "web"),
        (KEYS["image"], "web", "web", "web", "web"),
        (KEYS["port_offset"], 10000, 10000, 10000, 10000),
        (PUID, "auto", "auto", "auto", "auto"),
        (VOL_BASE, "/rw/dv", "/rw/dv", "/rw/dv", "/rw/dv"),
    ],
    ids=lambda value: value.name if isinstance(value, Key) else None,
)
def test_defaults_depend_on_the_mode(key: Key[Any], prod: object, dev: object, test: object, in_place: object):
    found = [settings_of(mode=mode)[key] for mode in (PROD, DEV, TEST, IN_PLACE)]
    assert found == [prod, dev, test, in_place]


# -------------------------------------------------------------------------------------------------------- the network
NETWORKS: list[tuple[dict[str, Any], dict[Mode, str]]] = [
    ({"text": "network: prod-net"}, {PROD: "prod-net", DEV: "bridge", TEST: "bridge", IN_PLACE: "prod-net"}),
    (
        {"text": "network: prod-net\ntest_network: test-net"},
        {PROD: "prod-net", DEV: "test-net", TEST: "test-net", IN_PLACE: "prod-net"},
    ),
    ({"text": "network: prod-net\ndev_network: dev-net"}, {PROD: "prod-net", DEV: "dev-net", TEST: "bridge"}),
    (
        {"text": "network: prod-net", "environ": {"KTOOLS_DRUN_TEST_NETWORK": "test-net"}},
        {PROD: "prod-net", DEV: "test-net", TEST: "test-net", IN_PLACE: "prod-net"},
    ),
    ({"environ": {"KTOOLS_DRUN_NETWORK": "prod-net"}}, {PROD: "prod-net", DEV: "bridge", TEST: "bridge"}),
    ({"host": "network: prod-net\ntest_network: test-net"}, {PROD: "prod-net", TEST: "test-net"}),
    ({"text": "network: none"}, {PROD: "none", DEV: "none", TEST: "none", IN_PLACE: "none"}),
    ({"text": "network: NONE", "environ": {"KTOOLS_DRUN_TEST_NETWORK": "x"}}, {PROD: "NONE", TEST: "NONE"}),
    ({"text": "network: none\ntest_network: test-net"}, {PROD: "none", DEV: "test-net", TEST: "test-net"}),
    ({"text": "network: prod-net", "host": "network: none"}, {PROD: "prod-net", DEV: "bridge", TEST: "bridge"}),
    ({"text": "network: prod-net", "flags": {"network": "of-flag"}}, dict.fromkeys(Mode, "of-flag")),
]


@pytest.mark.parametrize(("given", "expected"), NETWORKS)
def test_dev_and_test_never_take_productions_network(given: dict[str, Any], expected: dict[Mode, str]):
    """Except `none`, which is harmless; a flag always applies."""
    assert {mode: settings_of(mode=mode, **given)[NETWORK] for mode in expected} == expected


# ------------------------------------------------------------------------------------------------------------- the log
LOGS: list[tuple[dict[str, Any], dict[Mode, str | None]]] = [
    ({"text": "log: s"}, {PROD: "syslog", DEV: "none", TEST: "syslog", IN_PLACE: "syslog"}),
    ({"text": "log: s\ntest_log: j"}, {PROD: "syslog", DEV: "none", TEST: "json"}),
    ({"text": "log: s\ndev_log: j"}, {PROD: "syslog", DEV: "json", TEST: "syslog"}),
    ({"host": "log: s"}, {PROD: "syslog", DEV: "none", TEST: "syslog"}),
    ({"text": "log: s", "flags": {"log": "j"}}, {PROD: "json", DEV: "json", TEST: "json"}),
]


@pytest.mark.parametrize(("given", "expected"), LOGS)
def test_dev_logs_nothing_unless_told_for_dev(given: dict[str, Any], expected: dict[Mode, str]):
    found = {mode: settings_of(mode=mode, **given)[LOG] for mode in expected}
    assert {mode: log and log.name for mode, log in found.items()} == expected


# -------------------------------------------------------------------------------------- what a file may and may not say
@pytest.mark.parametrize("text", ["fg: true", "foreground: 1", "fg: true\nforeground: '1'"])
def test_both_names_of_a_key_are_one(text: str):
    assert settings_of(text)[FOREGROUND] is True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fg: true\nforeground: false", "`foreground` and `fg` are the same key with different values"),
        ("test_fg: true\ntest_foreground: 0", "`test_foreground` and `test_fg` are the same key with different values"),
        ("dns: a\ndns: a", "duplicate key `dns`"),
    ],
)
def test_one_key_with_two_meanings_is_an_error(text: str, message: str):
    (problem,) = problems_of(text)
    assert (problem.where, problem.message) == ("settings.yaml:2:1", message)
    assert problem.hint.endswith("is at settings.yaml:1")


def test_an_alias_with_and_without_override_are_two_keys():
    settings = settings_of("fg: true\ntest_foreground: false", TEST)
    assert (settings[FOREGROUND], settings_of("fg: true\ntest_foreground: false")[FOREGROUND]) == (False, True)


@pytest.mark.parametrize("key", [key for key in KEYS.values() if key.scope is Scope.SERVICE])
def test_what_belongs_in_settings_yaml_is_refused_in_the_host_file(key: Key[Any]):
    assert [problem.hint for problem in problems_of(f"{key.name}: x", Scope.HOST)] == ["put it into settings.yaml"]


@pytest.mark.parametrize("key", [key for key in KEYS.values() if key.scope is Scope.HOST])
def test_what_belongs_in_the_host_file_is_refused_in_settings_yaml(key: Key[Any]):
    assert [problem.hint for problem in problems_of(f"{key.name}: x")] == ["put it into the host file"]


@pytest.mark.parametrize(
    ("word", "nearest"),
    [("mount_r", "mount_ro"), ("Ports", "ports"), ("test_pots", "test_ports"), ("forground", "foreground")],
)
def test_the_nearest_key_is_named(word: str, nearest: str):
    assert problems_of(f"{word}: x") == [
        Problem("settings.yaml:1:1", f"unknown key `{word}`", f"did you mean `{nearest}`?")
    ]


REQUIRED = [key for key in KEYS.values() if key.required and key.scope is not Scope.HOST]


@pytest.mark.parametrize("key", REQUIRED)
@pytest.mark.parametrize("written", ["", "~", '""', "[]"])
def test_what_a_launch_cannot_do_without_may_not_be_empty(key: Key[Any], written: str):
    assert len(problems_of(f"{key.name}: {written}")) == 1


# --------------------------------------------------------------------------------------------------- the environment
EXISTING = {  # as users have set them for years
    "D_SRC_DIR": "d_src_dir",
    "D_SRC_DIR2": "d_src_dir2",
    "DOCKER_EXEC": "engine",
    "DOCKER_VOL_BASE": "vol_base",
    "KTOOLS_DRUN_HOSTNAME": "hostname",
    "KTOOLS_DRUN_IP": "ip",
    "KTOOLS_DRUN_LOG": "log",
    "KTOOLS_DRUN_NAME": "name",
    "KTOOLS_DRUN_NETWORK": "network",
    "KTOOLS_DRUN_REPO": "repo1",
    "KTOOLS_DRUN_REPO2": "repo2",
    "KTOOLS_DRUN_TAG": "tag",
    "KTOOLS_DRUN_TEST_PROD": "drun_test_prod",
    "DBUILD_PARAMS": "build_params",
    "DBUILD_REPO": "build_repo",
    "DBUILD_PODMAN_SHARED_APK_CACHE": "build_podman_shared_apk_cache",
}


@pytest.mark.parametrize(("variable", "key"), EXISTING.items())
def test_variables_that_users_have_set_go_on_to_count(variable: str, key: str):
    for text in ("a", "/a", "1"):  # every key accepts one of them
        with suppress(SettingsError):
            assert settings_of(environ={variable: text}).values[key].source == f"env {variable}"
            return
    pytest.fail(f"{variable} takes nothing")


def test_a_variable_that_names_a_file_is_no_key():
    """DOCKYARD_COWSCAN and DOCKYARD_CHECK are paths, and the only such variables with the name of a key."""
    assert [key.name for key in KEYS.values() if not key.in_environment] == ["cowscan", "check"]
    assert settings_of(environ={"DOCKYARD_COWSCAN": "/etc/rules.yaml"})[KEYS["cowscan"]] == ()


@pytest.mark.parametrize("key", [key for key in KEYS.values() if key.in_environment], ids=lambda key: key.name)
def test_every_key_can_be_set_in_the_environment(key: Key[Any]):
    """With the prefix DOCKYARD_; errors contain the variable's name."""
    variable = f"DOCKYARD_{key.name.upper()}"
    try:
        source = settings_of(environ={variable: "1"}).value(key).source
    except SettingsError as error:
        source = error.problems[0].where
    assert source == f"env {variable}"


def test_the_test_network_has_its_old_variable():
    settings = settings_of(mode=TEST, environ={"KTOOLS_DRUN_TEST_NETWORK": "n"})
    assert settings.value(NETWORK) == Value("n", "env KTOOLS_DRUN_TEST_NETWORK", "test_network")


@pytest.mark.parametrize(
    ("text", "value"), [("a", ("a",)), ("[a, b]", ("a", "b")), ("a, b", ("a, b",)), ("['a: b']", ("a: b",))]
)
def test_a_list_in_the_environment_is_written_as_in_yaml(text: str, value: tuple[str, ...]):
    assert settings_of(environ={"DOCKYARD_DNS": text})[DNS] == value


def test_a_map_in_the_environment_is_written_as_in_yaml():
    variables = settings_of(environ={"DOCKYARD_ENV": "{A: 1, B: x y}"})[ENV]
    assert [(variable.name, variable.value) for variable in variables] == [("A", "1"), ("B", "x y")]


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("DOCKYARD_RM", "maybe", "`DOCKYARD_RM` must be true or false, not `maybe`"),
        (
            "DOCKYARD_DNS",
            "[a",
            "not valid YAML: while parsing a flow sequence expected ',' or ']', but got '<stream end>'",
        ),
        ("KTOOLS_DRUN_IP", "300.1.1.1", None),
    ],
)
def test_a_wrong_variable_is_named(variable: str, text: str, message: str | None):
    with pytest.raises(SettingsError) as error:
        settings_of(environ={variable: text})
    (problem,) = error.value.problems
    assert problem.where.startswith(f"env {variable}")
    assert message is None or problem.message == message


def test_all_wrong_variables_are_told_at_once():
    with pytest.raises(SettingsError) as error:
        settings_of(environ={"DOCKYARD_RM": "x", "KTOOLS_DRUN_IP": "300.1.1.1", "DOCKYARD_TEST_FG": "x"})
    assert len(error.value.problems) == 3


# ------------------------------------------------------------------------------------------------------------- flags
@pytest.mark.parametrize(
    ("flags", "key", "value"),
    [
        ({"rm": True}, RM, True),
        ({"rm": False}, RM, False),
        ({"ip": "0"}, IP, ""),
        ({"ip": ""}, IP, None),
        ({"puid": ""}, PUID, None),
        ({"subnet": "7"}, SUBNET, 7),
    ],
)
def test_a_flag_is_read_as_its_key_is(flags: Flags, key: Key[Any], value: object):
    assert settings_of("rm: 1\nip: 192.0.2.1\npuid: x\nsubnet: 1", flags=flags)[key] == value


def test_a_flag_that_is_given_several_times_replaces_the_files_list():
    settings = settings_of("ports: [1:1]", flags={"ports": ("80:80", "81:81/udp")})
    assert [(port.host, port.protocol) for port in settings[PORTS]] == [(80, "tcp"), (81, "udp")]


def test_a_wrong_flag_is_told_by_its_own_name():
    with pytest.raises(SettingsError) as error:
        settings_of(flags={"ports": ("x",), "subnet": "256"})
    assert [problem.where for problem in error.value.problems] == ["--ports", "--subnet"]


# ------------------------------------------------------------------------------------------------------- the host file
@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home directory with the user's host file."""
    (tmp_path / ".config/dockyard").mkdir(parents=True)
    (tmp_path / ".config/dockyard/host.yaml").write_text("vol_base: /of-user\n")
    return tmp_path


def test_the_users_host_file_counts(home: Path):
    value = read_host({"HOME": str(home)}).settings().value(VOL_BASE)
    assert value == Value("/of-user", f"{home}/.config/dockyard/host.yaml:1", "vol_base")


def test_dockyard_host_names_another_host_file(home: Path):
    (home / "other.yaml").write_text("vol_base: /of-other\n")
    environ = {"HOME": str(home), "DOCKYARD_HOST": f"{home}/other.yaml"}
    assert read_host(environ).settings()[VOL_BASE] == "/of-other"


def test_a_host_file_that_is_named_and_missing_is_an_error(home: Path):
    with pytest.raises(UsageError, match="no such file"):
        read_host({"HOME": str(home), "DOCKYARD_HOST": f"{home}/missing.yaml"})


def test_without_a_host_file_the_defaults_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: path.is_relative_to(tmp_path) and exists(path))
    assert read_host({"HOME": str(tmp_path)}).settings().value(VOL_BASE) == Value("/rw/dv", "default")


def test_a_home_that_may_not_be_looked_into_has_no_host_file(monkeypatch: pytest.MonkeyPatch):
    """Such as root's home under sudo -u."""

    def refuse(_path: Path) -> bool:
        raise PermissionError

    monkeypatch.setattr(Path, "exists", refuse)
    assert read_host({"HOME": "/root"}).host_file == {}


def test_the_hosts_own_file_counts_where_the_user_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/etc/dockyard/host.yaml")
    monkeypatch.setattr(Path, "read_text", lambda _path, **_: "vol_base: /of-etc")
    value = read_host({"HOME": str(tmp_path)}).settings().value(VOL_BASE)
    assert value == Value("/of-etc", "/etc/dockyard/host.yaml:1", "vol_base")


def test_a_wrong_host_file_is_told_with_its_path(home: Path):
    path = home / ".config/dockyard/host.yaml"
    path.write_text("vol_base: relative\nname: x\n")
    with pytest.raises(SettingsError) as error:
        read_host({"HOME": str(home)})
    assert [problem.where for problem in error.value.problems] == [f"{path}:1:11", f"{path}:2:1"]


# ----------------------------------------------------------------------------------------------- a service's directory
@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    """Return a service whose directory is the current one."""
    (tmp_path / "web").mkdir()
    monkeypatch.chdir(tmp_path / "web")
    return Service(tmp_path / "web")


def _load(service: Service, text: str | bytes | None = None, **options: Any) -> Settings:  # noqa: ANN401
    if text is not None:
        content = text if isinstance(text, bytes) else text.encode()
        (service.directory / "settings.yaml").write_bytes(content)
    return load(service, options.pop("mode", PROD), NOTHING, **options)


def test_a_service_without_settings_has_defaults(service: Service):
    assert _load(service).value(NAME) == Value("web", "the directory's name")


def test_a_value_names_its_file_and_line(service: Service):
    assert _load(service, "\nhostname: a\n").value(HOSTNAME).source == "settings.yaml:2"


def test_a_service_elsewhere_is_named_by_its_path(service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert _load(service, "hostname: a").value(HOSTNAME).source == f"{service.directory}/settings.yaml:1"


def test_another_settings_file_is_sought_with_the_service_then_here(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "settings-ro.yaml").write_text("hostname: of-here")
    monkeypatch.chdir(tmp_path)
    assert _load(service, file="settings-ro.yaml")[HOSTNAME] == "of-here"
    (service.directory / "settings-ro.yaml").write_text("hostname: of-service")
    assert _load(service, file="settings-ro.yaml")[HOSTNAME] == "of-service"


def test_a_settings_file_that_is_named_and_missing_is_an_error(service: Service):
    with pytest.raises(UsageError, match="no such settings file"):
        _load(service, "", file="settings-ro.yaml")


def test_faults_in_flags_and_file_are_told_at_once(service: Service):
    with pytest.raises(SettingsError) as error:
        _load(service, "rm: x\nfoo: 1\n", flags={"subnet": "x"})
    assert [problem.where for problem in error.value.problems] == ["--subnet", "settings.yaml:1:5", "settings.yaml:2:1"]


def test_settings_that_are_not_utf8_are_an_error(service: Service):
    with pytest.raises(SettingsError) as error:
        _load(service, b"hostname: \xff")
    assert error.value.problems == [Problem("settings.yaml", "not UTF-8 at byte 10", "save it as UTF-8")]


@pytest.mark.parametrize(
    ("text", "wave"),
    [("", Wave(5)), ("\n", Wave(5)), ("3\n", Wave(3)), ("4,host=x", Wave(4, "x")), ("4;host=x", Wave(4, "x"))],
)
def test_a_file_autostart_says_the_wave(service: Service, text: str, wave: Wave):
    (service.directory / "autostart").write_text(text)
    assert _load(service).value(AUTOSTART) == Value(wave, "autostart", "autostart")


@pytest.mark.parametrize(("written", "wave"), [("autostart: 2", Wave(2)), ("autostart:", None)])
def test_a_file_autostart_counts_only_where_settings_say_nothing(service: Service, written: str, wave: Wave | None):
    (service.directory / "autostart").write_text("3")
    assert _load(service, written)[AUTOSTART] == wave


def test_a_wrong_file_autostart_is_an_error(service: Service):
    (service.directory / "autostart").write_text("soon")
    with pytest.raises(SettingsError, match="autostart: `autostart` must be a wave number"):
        _load(service)


# ------------------------------------------------------------------------------------------------------------ the table
@pytest.mark.parametrize("key", KEYS.values(), ids=lambda key: key.name)
def test_every_key_is_explained(key: Key[Any]):
    assert key.help.endswith(".")
    assert key.section
    assert key.type.expected


def test_no_word_stands_for_two_keys():
    words = [f"{prefix}{name}" for key in KEYS.values() for name in key.names for prefix in ("", "test_", "dev_")]
    assert len(words) == len(set(words))


def test_no_flag_stands_for_two_keys():
    flags = [flag for key in KEYS.values() for flag in key.flags]
    assert len(flags) == len(set(flags))


def test_no_variable_stands_for_two_keys():
    names = [name for key in KEYS.values() for prefix in ("", "test_", "dev_") for name in key.variables(prefix)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("key", [key for key in KEYS.values() if key.shared], ids=lambda key: key.name)
def test_what_several_modes_share_is_a_value_that_the_key_takes(key: Key[Any], mode: Mode):
    for value in key.shared:
        assert settings_of(f"{key.name}: {value}", mode)[key] == value


def test_explain_tells_every_key():
    assert [name for name, _, _ in settings_of().explain()] == list(KEYS)
