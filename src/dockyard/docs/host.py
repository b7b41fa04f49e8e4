"""The reference of what dockyard meets on a host: variables, files and directories.

Keys have their variables in their own table; tests hold that nothing is missing from the tables here.
"""

from typing import NamedTuple

from dockyard.docs.table import page, table, words
from dockyard.settings.key import OVERRIDES
from dockyard.settings.keys import KEYS


class Variable(NamedTuple):
    """A variable that is no setting; `set_by_us`: for programs that dockyard starts."""

    name: str
    help: str
    set_by_us: bool = False


VARIABLES = (
    Variable("DOCKYARD_HOST", "The [host file](host-file.md), in place of those at the usual places."),
    Variable("DOCKYARD_COWSCAN", "The host's own [rules of d-cowscan](cowscan-rules.md), in place of the usual file."),
    Variable("DOCKYARD_CHECK", "What is accepted for [all services](../how-to/check-services.md), elsewhere."),
    Variable("DOCKER_HOST", "Where Docker Engine answers. The client reads it, and `d userns` does."),
    Variable(
        "DOCKER_BUILDKIT",
        "`0`: docker's client builds with its legacy builder; Docker 20.10 builds with BuildKit if 1.",
    ),
    Variable("BUILDX_BUILDER", "The builder that buildx takes; what it builds is handed over to the engine."),
    Variable("TERM", "`dumb`: a build is shown as its engine writes it, not condensed to a line for each step."),
    Variable(
        "BUILDX_NO_DEFAULT_ATTESTATIONS",
        "`1` for each build, unless it is set already: with attestations the same source has another id each time.",
        set_by_us=True,
    ),
    Variable("BUILDKIT_PROGRESS", "`plain` for each build: its steps are read from that.", set_by_us=True),
    Variable("PATH", "Where programs are looked up: the engine's client above all."),
    Variable("HOME", "Where a user's own files are, where the variables below say nothing."),
    Variable(
        "PWD", "The directory of the service that `d-run` and `d-build` work on, as it was reached: by a link, say."
    ),
    Variable("XDG_CONFIG_HOME", "Where a user's own systemd units go, below `systemd/user`; else `~/.config`."),
    Variable("XDG_STATE_HOME", "Where a user's own state is, in `dockyard`; else `~/.local/state`."),
    Variable("XDG_RUNTIME_DIR", "Where a user's own locks are, in `dockyard`; else `~/.local/state`."),
    Variable("TZ", "The time zone of `window` and of times that are printed; else that of `/etc/localtime`."),
    Variable("XDG_CACHE_HOME", "Where podman stores what short names of images mean to a user; else `~/.cache`."),
    Variable("DOCKER_CONFIG", "The directory of docker's logins to [registries](../how-to/use-private-registries.md)."),
    Variable("DOCKER_AUTH_CONFIG", "Logins to registries, as JSON: they come before docker's file."),
    Variable("REGISTRY_AUTH_FILE", "The file of podman's logins to registries, instead of those at the usual places."),
    Variable("CONTAINERS_REGISTRIES_CONF", "podman's registries.conf, instead of those at the usual places."),
    Variable("HTTP_PROXY", "The proxy for registries without TLS; `http_proxy` comes before it."),
    Variable("HTTPS_PROXY", "The proxy for registries with TLS; `https_proxy` comes before it."),
    Variable("NO_PROXY", "Hosts, domains and networks that are asked without a proxy; `no_proxy` comes before it."),
    Variable("TMPDIR", "Where temporary files are; else `/tmp`, or `/var/tmp` if podman builds with secrets."),
    Variable("SUDO_USER", "Who is told to hold a lock, or to have accepted or undone something."),
    Variable("COMPOSE_PROFILES", "The profiles that `d import` takes, where no `--profile` names any."),
    Variable("COMPOSE_PROJECT_NAME", "The name of the project that `d import` reads, where its file says none."),
    Variable("SUDO_UID", "Who is told to have undone something."),
    Variable("DOCKYARD_UNDER_TEST", "`SERVICE=IMAGE`: what a Test is to test.", set_by_us=True),
    Variable("DOCKYARD_RUN", "The label by which all that a Test has launched is removed.", set_by_us=True),
    Variable(
        "DOCKYARD_TOKEN",
        "Which process has set the others here. Only what it has started obeys them; anything else refuses to run.",
        set_by_us=True,
    ),
    Variable("DOCKYARD_EVIDENCE", "The directory for what explains a Test that fails.", set_by_us=True),
    Variable("DOCKYARD_TESTER", "`process PID`: the process that runs a Test in another language.", set_by_us=True),
    Variable("DOCKYARD_UNTIL_HEALTHY", "A Test passes only if its instance gets healthy.", set_by_us=True),
    Variable(
        "DOCKYARD_RECORD", "The socket at which a launch is told to whoever records what it opens.", set_by_us=True
    ),
    Variable("DOCKYARD_IN_NAMESPACE", "Set below `podman unshare`.", set_by_us=True),
)


class Place(NamedTuple):
    """A file or directory; `user` is where it is for an ordinary user."""

    path: str
    user: str
    help: str


STATE = "/var/lib/dockyard"
FILES = (
    Place("/etc/dockyard/host.yaml", "~/.config/dockyard/host.yaml", "The [host file](host-file.md)."),
    Place("/etc/dockyard/cowscan.yaml", "", "What d-cowscan is to expect: [rules](cowscan-rules.md)."),
    Place("/etc/dockyard/check.yaml", "", "Points of `d check` that are [accepted](../how-to/check-services.md)."),
    Place(
        "/run/dockyard",
        "$XDG_RUNTIME_DIR/dockyard",
        "A lock for each container, and for each change that an engine has under way. A holder that dies frees it.",
    ),
    Place(STATE, "$XDG_STATE_HOME/dockyard", "What is below; readable by its owner alone."),
    Place("host-secret", "", "What `$PUID` is made from. Another one gives every container another `$PUID`."),
    Place("history.db", "", "What was done, 1000 events of a service: `d history`. A record, never the truth."),
    Place("notified.json", "", "Of which problems people were notified. Without it they are notified again."),
    Place("last-upgrade.json", "", "How the last `d upgrade-all` ended for each service."),
    Place(
        "upstream.json",
        "",
        "What registries said, and when. Without it each cooldown begins again.",
    ),
    Place("bases.json", "", "On which digests services build, if not on those that the host's tags name."),
    Place("before-bump", "", "Files that `d bump` has changed, as they were; only of services outside of git."),
    Place(
        "comparisons.json", "", "Which images were compared, and have the same content. Without it they are read again."
    ),
    Place("scans", "", "What the scanner of `scan_command` has found in images, for a week."),
    Place("alerts.db", "", "What d-cowscan has found, and what was accepted. Of a container that is gone: 90 days."),
    Place("quarantine", "", "What `d-cowscan -R` has taken out of containers, one tar each."),
    Place(
        "services",
        "",
        "Of each service: `dossiers` of its last ten failures, for `d why`; what was changed by hand; its hold.",
    ),
    Place("userns.json", "", "What `d userns enable` has changed, to be undone."),
    Place("/etc/systemd/system", "$XDG_CONFIG_HOME/systemd/user", "Units, where `d install-units` has written any."),
    Place("/var/cache/dockyard/apk", "", "Packages that builds share, with `build_podman_shared_apk_cache: 1`."),
    Place("/rw/dv", "", "`vol_base`: data of services, each below its name. `TMP` in there holds the test areas."),
    Place(
        "/etc/docker/daemon.json",
        "",
        "`d userns enable` sets `userns-remap` there. Mirrors and insecure "
        "[registries](../how-to/use-private-registries.md) are read from it.",
    ),
    Place("/etc/containers/registries.conf", "~/.config/containers/registries.conf", "The same for podman."),
    Place("/etc/docker/certs.d", "", "Certificates of registries; for podman in `/etc/containers/certs.d`, too."),
    Place("/etc/subuid", "", "`d userns enable` adds a range of ids; so it does in `/etc/subgid`."),
    Place("/etc/passwd", "", "`d userns enable` adds names for mapped ids; so it does in `/etc/group`."),
)


def environment_page() -> str:
    """Return the reference of environment variables."""
    settings = ([f"`{key.name}`", words(key.variables()), words(_overrides(key.name))] for key in KEYS.values())
    return page(
        "Environment variables",
        f"## Settings\n\n{_SETTINGS}\n{table(('key', 'variables', 'in dev and test'), settings)}",
        f"## Others\n\n{_table_of(set_by_us=False)}",
        f"## Set by dockyard\n\n{_SET}\n{_table_of(set_by_us=True)}",
    )


def _table_of(*, set_by_us: bool) -> str:
    found = ([f"`{one.name}`", one.help] for one in VARIABLES if one.set_by_us is set_by_us)
    return table(("variable", "means"), found)


def _overrides(key: str) -> list[str]:
    return [name for prefix in OVERRIDES for name in KEYS[key].variables(prefix)[:1]]


def files_page() -> str:
    """Return the reference of files and directories."""
    rows = ([f"`{_full(one.path)}`", words(filter(None, [one.user])), one.help] for one in FILES)
    return page("Files", _FILES, table(("for root", "for a user", "what it is"), rows))


def _full(path: str) -> str:
    return path if path.startswith("/") else f"{STATE}/{path}"


_SETTINGS = """\
A variable is weaker than the service's [settings.yaml](settings.md) and stronger than the [host file](host-file.md); an
empty one says nothing. A list is written `[a, b]`. Of several the first wins.
"""

_SET = """\
For programs that it starts. Tests get [more](../how-to/write-a-test.md#in-any-other-language).
"""

_FILES = """\
Besides the services' own directories. A user who is not root has his own, where the second column says so; what lies in
root's directory of state lies in his too.
"""
