"""The reference of environment variables, files and directories that dockyard uses on a host.

Variables of settings come from the table of keys. Tests check that the tables here are complete.
"""

from typing import NamedTuple

from dockyard.docs.table import page, table, words
from dockyard.settings.key import OVERRIDES
from dockyard.settings.keys import KEYS


class Variable(NamedTuple):
    """A variable that is not a setting; `set_by_us`: dockyard sets it for programs that it starts."""

    name: str
    help: str
    set_by_us: bool = False


VARIABLES = (
    Variable("DOCKYARD_HOST", "Path of the [host file](host-file.md), instead of the default paths."),
    Variable(
        "DOCKYARD_COWSCAN", "Path of the host's [rules of d-cowscan](cowscan-rules.md), instead of the default path."
    ),
    Variable(
        "DOCKYARD_CHECK",
        "Path of the findings accepted for [all services](../how-to/check-services.md), instead of the default path.",
    ),
    Variable("DOCKER_HOST", "Address of Docker Engine. The docker client and `d userns` read it."),
    Variable(
        "DOCKER_BUILDKIT",
        "`0`: the docker client uses its legacy builder. `1`: Docker 20.10 uses BuildKit.",
    ),
    Variable("BUILDX_BUILDER", "The builder that buildx uses; the image is loaded into the engine."),
    Variable("TERM", "`dumb`: print the output of builds unchanged, not condensed to one line for each step."),
    Variable(
        "BUILDX_NO_DEFAULT_ATTESTATIONS",
        "`1` for each build, unless it is set: with attestations, the same source gets a different image ID each time.",
        set_by_us=True,
    ),
    Variable("BUILDKIT_PROGRESS", "`plain` for each build, to parse its steps.", set_by_us=True),
    Variable("PATH", "Directories in which programs are searched, such as the engine's client."),
    Variable("HOME", "The user's home directory, used if the variables below are not set."),
    Variable("PWD", "The directory of the service for `d-run` and `d-build`; symlinks in it are not resolved."),
    Variable("XDG_CONFIG_HOME", "Directory of a user's systemd units, in `systemd/user`; else `~/.config`."),
    Variable("XDG_STATE_HOME", "Directory of a user's state, in `dockyard`; else `~/.local/state`."),
    Variable("XDG_RUNTIME_DIR", "Directory of a user's locks, in `dockyard`; else `~/.local/state`."),
    Variable("TZ", "The time zone of `window` and of times that are printed; else that of `/etc/localtime`."),
    Variable("XDG_CACHE_HOME", "Where podman stores a user's short-name aliases of images; else `~/.cache`."),
    Variable("DOCKER_CONFIG", "Directory of docker's logins to [registries](../how-to/use-private-registries.md)."),
    Variable("DOCKER_AUTH_CONFIG", "Logins to registries, as JSON; takes precedence over docker's file."),
    Variable("REGISTRY_AUTH_FILE", "File of podman's logins to registries, instead of the default paths."),
    Variable("CONTAINERS_REGISTRIES_CONF", "Path of podman's registries.conf, instead of the default paths."),
    Variable("HTTP_PROXY", "Proxy for registries without TLS; `http_proxy` takes precedence."),
    Variable("HTTPS_PROXY", "Proxy for registries with TLS; `https_proxy` takes precedence."),
    Variable("NO_PROXY", "Hosts, domains and networks to contact without a proxy; `no_proxy` takes precedence."),
    Variable("TMPDIR", "Directory of temporary files; else `/tmp`, or `/var/tmp` if podman builds with secrets."),
    Variable("SUDO_USER", "User who is recorded as the holder of a lock, or as having accepted or reverted something."),
    Variable("COMPOSE_PROFILES", "Profiles that `d import` uses if there is no `--profile`."),
    Variable("COMPOSE_PROJECT_NAME", "Name of the project that `d import` reads, if its file has none."),
    Variable("SUDO_UID", "User who is recorded as having reverted something."),
    Variable("DOCKYARD_UNDER_TEST", "`SERVICE=IMAGE`: the image that a Test must test.", set_by_us=True),
    Variable("DOCKYARD_RUN", "Label of everything that a Test launches, for its removal.", set_by_us=True),
    Variable(
        "DOCKYARD_TOKEN",
        "The process that set the other variables. Only processes that it started accept them; others refuse to run.",
        set_by_us=True,
    ),
    Variable("DOCKYARD_EVIDENCE", "Directory for evidence of why a Test fails.", set_by_us=True),
    Variable("DOCKYARD_TESTER", "`process PID`: the process that runs a Test in another language.", set_by_us=True),
    Variable("DOCKYARD_UNTIL_HEALTHY", "A Test passes only if its instance becomes healthy.", set_by_us=True),
    Variable(
        "DOCKYARD_RECORD", "Socket on which launches are announced to the recorder of opened files.", set_by_us=True
    ),
    Variable("DOCKYARD_IN_NAMESPACE", "Set inside `podman unshare`.", set_by_us=True),
)


class Place(NamedTuple):
    """A file or directory; `user` is its path for an unprivileged user."""

    path: str
    user: str
    help: str


STATE = "/var/lib/dockyard"
FILES = (
    Place("/etc/dockyard/host.yaml", "~/.config/dockyard/host.yaml", "The [host file](host-file.md)."),
    Place("/etc/dockyard/cowscan.yaml", "", "Changes that d-cowscan expects: [rules](cowscan-rules.md)."),
    Place("/etc/dockyard/check.yaml", "", "Findings of `d check` that are [accepted](../how-to/check-services.md)."),
    Place(
        "/run/dockyard",
        "$XDG_RUNTIME_DIR/dockyard",
        "A lock for each container, and for each change of an engine in progress. It is released when its holder dies.",
    ),
    Place(STATE, "$XDG_STATE_HOME/dockyard", "Directory of the files below; readable only by its owner."),
    Place(
        "host-secret",
        "",
        "The secret from which `$PUID` is derived. If it changes, so does the `$PUID` of every container.",
    ),
    Place(
        "history.db",
        "",
        "Past actions, up to 1000 events for each service: `d history`. A record only, never the source of truth.",
    ),
    Place("notified.json", "", "Problems that were already notified. Without it, they are notified again."),
    Place("last-upgrade.json", "", "Result of the last `d upgrade-all` for each service."),
    Place(
        "upstream.json",
        "",
        "Answers of registries, with their time. Without it, each cooldown starts again.",
    ),
    Place("bases.json", "", "Digests on which services build, if they differ from the host's tags."),
    Place("before-bump", "", "Original versions of files that `d bump` changed; only for services outside of git."),
    Place(
        "comparisons.json",
        "",
        "Images that were compared and have the same content. Without it, they are compared again.",
    ),
    Place("scans", "", "Findings of `scan_command` in images, stored for a week."),
    Place(
        "alerts.db", "", "Findings of d-cowscan, and acceptances. Those of a removed container are stored for 90 days."
    ),
    Place("quarantine", "", "Files that `d-cowscan -R` removed from containers, one tar file each."),
    Place(
        "services",
        "",
        "For each service: `dossiers` of its last ten failures, for `d why`; changes made by hand; its hold.",
    ),
    Place("userns.json", "", "Changes of `d userns enable`, to revert them."),
    Place("/etc/systemd/system", "$XDG_CONFIG_HOME/systemd/user", "Units that `d install-units` wrote."),
    Place("/var/cache/dockyard/apk", "", "Package cache that builds share, with `build_podman_shared_apk_cache: 1`."),
    Place(
        "/rw/dv",
        "",
        "`vol_base`: data of services, each in a directory of its name. `TMP` in it contains the test areas.",
    ),
    Place(
        "/etc/docker/daemon.json",
        "",
        "`d userns enable` sets `userns-remap` in it. dockyard reads mirrors and insecure "
        "[registries](../how-to/use-private-registries.md) from it.",
    ),
    Place("/etc/containers/registries.conf", "~/.config/containers/registries.conf", "The same for podman."),
    Place("/etc/docker/certs.d", "", "Certificates of registries; for podman, also `/etc/containers/certs.d`."),
    Place("/etc/subuid", "", "`d userns enable` adds a range of IDs, also to `/etc/subgid`."),
    Place("/etc/passwd", "", "`d userns enable` adds names for mapped IDs, also to `/etc/group`."),
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
    return table(("variable", "meaning"), found)


def _overrides(key: str) -> list[str]:
    return [name for prefix in OVERRIDES for name in KEYS[key].variables(prefix)[:1]]


def files_page() -> str:
    """Return the reference of files and directories."""
    rows = ([f"`{_full(one.path)}`", words(filter(None, [one.user])), one.help] for one in FILES)
    return page("Files", _FILES, table(("for root", "for a user", "content"), rows))


def _full(path: str) -> str:
    return path if path.startswith("/") else f"{STATE}/{path}"


_SETTINGS = """\
Variables take precedence over the [host file](host-file.md), and the service's [settings.yaml](settings.md) takes
precedence over them. An empty variable is ignored. A list is written `[a, b]`. Of several variables of a key, the first
wins.
"""

_SET = """\
For programs that it starts. Tests have [more variables](../how-to/write-a-test.md#in-any-other-language).
"""

_FILES = """\
These are in addition to the directories of services. An unprivileged user has files of their own, at the paths in the
second column; the files in root's state directory are in the user's state directory too.
"""
