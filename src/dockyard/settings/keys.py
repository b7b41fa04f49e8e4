"""The table of settings: each key's name, type, defaults, help, the files in which it may be, and its engine flag.

Reading, checking, the flags of d-run, `--explain`, `d schema` and docs/reference/settings.md all use this table. To add
a key, add one entry. If the key is more than a flag of the engine, plan/launch.py reads it too.
"""

from typing import Any, TypeVar

from dockyard.settings import types
from dockyard.settings.acceptance_type import Acceptance, Acceptances
from dockyard.settings.key import Key, Scope, each, each_pair, health_argv, option, switch
from dockyard.settings.mount_type import Mounts
from dockyard.settings.rule_type import PathPattern, Rule, Rules
from dockyard.settings.update_type import UpdatePolicy, Updates, complete
from dockyard.settings.values import (
    BuildSecret,
    HealthCheck,
    LogDriver,
    Mode,
    Mount,
    Port,
    Variable,
    Volume,
    VolumeDefaults,
    Wave,
)
from dockyard.settings.volume_types import Defaults, Volumes

T = TypeVar("T")

_NAME = types.Text("a name of letters, digits, `_`, `.` and `-`", r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_SIZE = types.Text("a size such as `512m`", r"[0-9]+(\.[0-9]+)?[bkmgBKMG]?")
_DIRECTORY = types.Text("an absolute path", r"/[^\0]*")
_PATHS: types.Type[tuple[str, ...]] = types.ListOf(_DIRECTORY)
_TEXTS: types.Type[tuple[str, ...]] = types.ListOf(types.Text())
_PAIRS: types.Type[tuple[tuple[str, str], ...]] = types.Flattened(types.Assignments())
_MOUNTS: types.Type[tuple[Mount, ...]] = types.Flattened(Mounts())

# ---------------------------------------------------------------------------------------------------- identity
_S = "Identity"
NAME = Key(
    "name",
    _NAME,
    "Container name. Dev and test instances are prefixed with `dev-` or `test-`.",
    _S,
    "",
    shown_default="base name of the directory",
    environment=("KTOOLS_DRUN_NAME",),
    flags=("-n", "--name"),
    scope=Scope.SERVICE,
    required=True,
    example="name: web",
)
NAME_PREFIX = Key[str | None](
    "name_prefix",
    types.Text("letters, digits, `_`, `.` and `-`", r"[a-zA-Z0-9_.-]*"),
    "Prefix of the container name.",
    _S,
    "",
    by_mode={Mode.DEV: "dev-", Mode.TEST: "test-"},
    shown_default="dev `dev-`, test `test-`",
    flags=("--name_prefix",),
    read_as={Mode.DEV: ("dev_", "test_"), Mode.TEST: ("test_",)},
    example="name_prefix: blue-",
)
HOSTNAME = Key[str | None](
    "hostname",
    types.Text("a host name of letters, digits, `_`, `.` and `-`", r"[a-zA-Z0-9_.-]+"),
    "Host name inside the container. `HOSTNAME` in it is replaced by the name of the host.",
    _S,
    None,
    shown_default="the container's name",
    environment=("KTOOLS_DRUN_HOSTNAME",),
    flags=("-H", "--hostname"),
    example="hostname: web.HOSTNAME",
)
IMAGE = Key(
    "image",
    types.Text("an image name such as `web` or `host:5000/web:1.0`", r"[a-zA-Z0-9][a-zA-Z0-9_.:/@-]*"),
    "Image name. With `/` or `:` it is a full reference; otherwise `repo1/NAME:TAG`, `repo2/NAME:TAG` and `NAME:TAG` "
    "are looked up, in this order.",
    _S,
    "",
    shown_default="base name of the directory",
    flags=("-i", "--image"),
    scope=Scope.SERVICE,
    required=True,
    example="image: web",
)
REPO1 = Key[str | None](
    "repo1",
    types.Text("a repository such as `ktools` or `host:5000`", r"[a-zA-Z0-9][a-zA-Z0-9_.:/-]*"),
    "First repository in which images are looked up, and the one that d-build builds for. A name with `:` "
    "is a registry.",
    _S,
    "ktools",
    environment=("KTOOLS_DRUN_REPO",),
    flags=("--repo",),
)
REPO2 = Key[str | None](
    "repo2",
    types.Text("a repository such as `ktools` or `host:5000`", r"[a-zA-Z0-9][a-zA-Z0-9_.:/-]*"),
    "Second repository in which images are looked up.",
    _S,
    None,
    environment=("KTOOLS_DRUN_REPO2",),
    flags=("--repo2",),
    example="repo2: registry.example.org:5000",
)
TAG = Key(
    "tag",
    types.Text("a tag, an image ID or a digest", r"[a-zA-Z0-9_][a-zA-Z0-9_.:-]*"),
    "Tag of the image, or an image ID or a digest.",
    _S,
    "latest",
    by_mode={Mode.PROD: "live"},
    shown_default="prod `live`, else `latest`",
    environment=("KTOOLS_DRUN_TAG",),
    flags=("-T", "--tag"),
    required=True,
)
CMD = Key[tuple[str, ...]](
    "cmd",
    types.Words(),
    "Command to run instead of the image's: a string with shell quoting, or a list.",
    _S,
    (),
    flags=("--cmd",),
    scope=Scope.SERVICE,
    example='cmd: nginx -g "daemon off;"',
)
EXTRA_INIT = Key[tuple[str, ...]](
    "extra_init",
    types.Words(),
    "Additional arguments after `cmd`.",
    _S,
    (),
    flags=("--extra-init",),
    scope=Scope.SERVICE,
    example="extra_init: --verbose",
)
DEBUG_EXTRA_INIT = Key[tuple[str, ...]](
    "debug_extra_init",
    types.Words(),
    "Arguments instead of `extra_init` in dev and test. `test_extra_init` and `dev_extra_init` take precedence.",
    _S,
    (),
    scope=Scope.SERVICE,
    example="debug_extra_init: --log-level debug",
)
DEBUG_ALT_CMND = Key[tuple[str, ...]](
    "debug_alt_cmnd",
    types.Words(),
    "Entrypoint in dev and test.",
    _S,
    (),
    scope=Scope.SERVICE,
    example="debug_alt_cmnd: /bin/sh",
)
ENV = Key[tuple[Variable, ...]](
    "env",
    types.Flattened(types.Environment()),
    "Environment variables: `NAME=VALUE` items, maps, or one map. A value `*NAME` is the secret of that name (see "
    r"`secret_command`); `\*` is a literal star.",
    _S,
    (),
    flags=("-e", "--env"),
    details="In a map, quote the name of a secret: without quotes, YAML reads `*` as an alias. `- NAME=*SECRET` needs "
    "no quotes.",
    example='env:\n  LOG_LEVEL: info\n  DB_PASSWORD: "*web-db-password"',
)
PUID = Key[str | None](
    "puid",
    types.Text(),
    "Value of `$PUID`. `auto`: a secret that is always the same for this host and container. Empty: not set.",
    _S,
    "auto",
    flags=("--puid",),
)
TZ = Key[str | None](
    "tz",
    types.Text("a time zone such as `Europe/Vienna`", r"[A-Za-z0-9_+:,./<>-]+"),
    "Time zone, the value of `$TZ`. Empty: not set.",
    _S,
    "auto",
    shown_default="the host's zone",
    example="tz: Europe/Vienna",
)

# ----------------------------------------------------------------------------------------------------- runtime
_S = "Runtime"
NETWORK = Key(
    "network",
    types.Text("a network name of letters, digits, `_`, `.`, `:` and `-`", r"[a-zA-Z0-9][a-zA-Z0-9_.:-]*"),
    "Network. `none` (no network) applies to dev and test too. Otherwise dev and test never join this network, only "
    "`dev_network` or `test_network`.",
    _S,
    "bridge",
    environment=("KTOOLS_DRUN_NETWORK",),
    flags=("-N", "--network"),
    required=True,
    read_as={Mode.DEV: ("dev_", "test_"), Mode.TEST: ("test_",)},
    shared=frozenset({"none", "NONE"}),
    example="network: fleet\ntest_network: fleet-test",
)
IP = Key[str | None](
    "ip",
    types.Address(),
    "IP address to pin: an address, a name to look up, or `-` to look up the hostname, then the directory's base name. "
    "Empty or `0`: the engine chooses.",
    _S,
    "-",
    environment=("KTOOLS_DRUN_IP",),
    flags=("--ip",),
    example="ip: 172.20.1.10",
)
SUBNET = Key[int | None](
    "subnet",
    types.Integer(0, 255),
    "Replaces the third octet of the pinned address, which makes test instances recognizable by their address.",
    _S,
    None,
    by_mode={Mode.DEV: 3, Mode.TEST: 3},
    shown_default="none; dev and test `3`",
    flags=("--subnet",),
    example="subnet: 3",
)
PORTS = Key[tuple[Port, ...]](
    "ports",
    types.Flattened(types.Ports()),
    "Published ports: `host:container` or `ip:host:container`, optionally with `/udp`. Dev and test add `port_offset` "
    "to the host port, and bind to 127.0.0.1 if no address is given.",
    _S,
    (),
    flags=("-p", "--ports"),
    scope=Scope.SERVICE,
    details="Ranges of the same length are paired: `8000-8002:80-82` publishes three ports.",
    example="ports:\n  - 8080:80\n  - 127.0.0.1:9090:9090\n  - 5353:53/udp",
)
IPV6_PORTS = Key(
    "ipv6_ports",
    types.Boolean(),
    "Publish ports without an address on IPv6 too.",
    _S,
    False,
    flags=("-6", "--ipv6"),
)
PORT_OFFSET = Key[int | str](
    "port_offset",
    types.OrWord(types.Integer(1, 65534), "auto"),
    "Number that dev and test add to host ports. With `auto`, or if the sum exceeds 65535, the engine chooses a free "
    "port.",
    _S,
    10000,
)
DNS = Key(
    "dns",
    _TEXTS,
    "DNS servers.",
    _S,
    (),
    emit=each("--dns"),
    example="dns: [9.9.9.9, 149.112.112.112]",
)
ADD_HOST = Key(
    "add_host",
    _TEXTS,
    "Lines `name:address` to add to /etc/hosts.",
    _S,
    (),
    emit=each("--add-host"),
    example="add_host: [db.internal:10.0.0.5]",
)
MOUNT_DEVICES = Key(
    "mount_devices",
    _PATHS,
    "Devices to pass to the container, by path. Wildcards are allowed.",
    _S,
    (),
    scope=Scope.SERVICE,
    example="mount_devices: [/dev/ttyUSB*]",
)
EXTRA_DOCKER = Key[tuple[str, ...]](
    "extra_docker",
    types.Words(),
    "Additional raw flags for the engine: a string with shell quoting, or a list.",
    _S,
    (),
    flags=("--extra-docker",),
    example="extra_docker: --shm-size 256m",
)
LOG = Key[LogDriver | None](
    "log",
    types.Log(),
    "Log driver: `none`, `syslog`, `s:URL`, `json`, `journald`, `passthrough`, or the name of another driver of the "
    "engine.",
    _S,
    None,
    by_mode={Mode.DEV: LogDriver("none")},
    shown_default="the engine's; dev `none`",
    environment=("KTOOLS_DRUN_LOG",),
    flags=("-L", "--log"),
    read_as={Mode.DEV: ("dev_",)},
    details="- `none` or `n`: no log.\n"
    "- `syslog` or `s`, `s:URL` for a server: never blocks, has a buffer of 4 MB and facility local3, and the tag is "
    "the container's name.\n"
    "- `json` or `j`: 3 files of 5 MB.\n"
    "- `journald`: the systemd journal.\n"
    "- `passthrough` or `p`: d-run passes no flag.\n"
    "- Anything else: a driver of the engine.",
    example="log: s:udp://logs.example.org:514",
)
FOREGROUND = Key(
    "foreground",
    types.Boolean(),
    "Stay attached, with the output on the terminal.",
    _S,
    False,
    by_mode={Mode.DEV: True, Mode.TEST: True, Mode.IN_PLACE: True},
    shown_default="prod false, else true",
    aliases=("fg",),
    flags=("--fg",),
)
RM = Key(
    "rm",
    types.Boolean(),
    "Remove the container when it stops.",
    _S,
    False,
    by_mode={Mode.DEV: True, Mode.TEST: True, Mode.IN_PLACE: True},
    shown_default="prod false, else true",
    flags=("--rm",),
    emit=switch("--rm"),
)
AUTOSTART = Key[Wave | None](
    "autostart",
    types.Autostart(),
    "Wave in which the service starts: `4`, or `4,host=NAME`. Without this key, a file `autostart` in the directory "
    "counts; an empty file means 5.",
    _S,
    None,
    scope=Scope.SERVICE,
    example="autostart: 4",
)

MAX_AGE = Key[int | None](
    "max_age",
    types.Integer(1),
    "Days after which `d check-all-up` reports the image in production as old.",
    _S,
    None,
    shown_default="any age",
    example="max_age: 90",
)


def _flag(name: str, type_: types.Type[T], text: str, example: str) -> Key[T | None]:
    """Return a key that is passed on as the engine's flag of the same name."""
    flag = f"--{name.replace('_', '-')}"
    return Key[T | None](name, type_, text, _S, None, emit=option(flag), example=f"{name}: {example}")


MEMORY = _flag("memory", _SIZE, "Memory limit: a number of bytes, or with `k`, `m` or `g`.", "512m")
CPUS = _flag(
    "cpus",
    types.Text("a number such as `1.5`", r"[0-9]+(\.[0-9]+)?"),
    "Number of CPUs that the container may use.",
    "1.5",
)
PIDS_LIMIT = _flag("pids_limit", types.Integer(-1), "Maximum number of processes. -1: no limit.", "200")
USER = Key[str | None](
    "user",
    types.Text("`user`, `uid` or either with `:group`", r"[a-zA-Z0-9_.-]+(:[a-zA-Z0-9_.-]+)?"),
    "User to run as, instead of the image's: a name or a UID, optionally with `:group`.",
    _S,
    None,
    example="user: 1000:1000",
)
READ_ONLY = Key(
    "read_only",
    types.Boolean(),
    "Make the image's files read-only.",
    _S,
    False,
    emit=switch("--read-only"),
)
TMPFS = Key(
    "tmpfs",
    _PATHS,
    "Directories in memory: `/path`, or `/path:OPTIONS`.",
    _S,
    (),
    emit=each("--tmpfs"),
    example="tmpfs: [/tmp:size=64m]",
)
CAP_ADD = Key(
    "cap_add", _TEXTS, "Capabilities to add.", _S, (), emit=each("--cap-add"), example="cap_add: [NET_BIND_SERVICE]"
)
CAP_DROP = Key(
    "cap_drop",
    _TEXTS,
    "Capabilities to drop. `ALL` drops all.",
    _S,
    (),
    emit=each("--cap-drop"),
    example="cap_drop: ALL",
)
NO_NEW_PRIVILEGES = Key(
    "no_new_privileges",
    types.Boolean(),
    "Prevent programs in the container from gaining privileges.",
    _S,
    False,
    emit=switch("--security-opt", "no-new-privileges"),
)
ULIMITS = Key(
    "ulimits",
    _PAIRS,
    "Resource limits: `NAME=SOFT:HARD` items, or a map.",
    _S,
    (),
    emit=each_pair("--ulimit"),
    example="ulimits: [nofile=1024:4096]",
)
LABELS = Key(
    "labels",
    types.Flattened(types.Labels()),
    "Labels: `NAME=VALUE` items, or a map.",
    _S,
    (),
    emit=each_pair("--label"),
    example="labels: {org.example.team: web}",
)
STOP_TIMEOUT = Key[int | None](
    "stop_timeout",
    types.Integer(0, 86400),
    "Seconds that the container has to stop; then the engine kills it with SIGKILL.",
    _S,
    None,
    emit=option("--stop-timeout"),
    example="stop_timeout: 30",
)
STOP_SIGNAL = Key[str | None](
    "stop_signal",
    types.Text("the name or number of a signal, such as SIGINT", r"(SIG)?[A-Z][A-Z0-9+-]*|[1-9]\d?"),
    "Signal that stops the container, such as SIGINT, instead of the image's or SIGTERM.",
    _S,
    None,
    emit=option("--stop-signal"),
    example="stop_signal: SIGINT",
)
RESTART = Key[str | None](
    "restart",
    types.Text("no, always, unless-stopped or on-failure[:N]", r"no|always|unless-stopped|on-failure(:\d+)?"),
    "Restart policy: `no`, `always`, `unless-stopped` or `on-failure[:N]`. Ignored if `rm` is true.",
    _S,
    None,
    example="restart: unless-stopped",
)
START_FIRST = Key(
    "start_first",
    types.Boolean(),
    "Start the new container before the old one stops, to reduce downtime. For services without writable mounts; with "
    "podman, the old one stops first all the same.",
    _S,
    False,
    scope=Scope.SERVICE,
    details="The new container starts without a network, until it has stayed up and is healthy. Then the old one "
    "stops, and the new one joins the network.",
)
HEALTHCHECK = Key[HealthCheck | None](
    "healthcheck",
    types.Health(),
    "Health check: a map of `cmd`, `interval`, `timeout`, `retries` and `start_period`; or a command; or `none`, which "
    "disables the image's health check too.",
    _S,
    None,
    emit=health_argv,
    example="healthcheck:\n  cmd: curl -fs http://localhost/\n  interval: 10s\n  timeout: 3s\n  retries: 3\n"
    "  start_period: 30s",
)

# --------------------------------------------------------------------------------------------------------- mounts
_S = "Mounts"


def _mount(name: str, text: str, example: str) -> Key[tuple[Mount, ...]]:
    return Key(name, _MOUNTS, text, _S, (), scope=Scope.SERVICE, example=f"{name}: {example}")


MOUNT_RO = _mount("mount_ro", "Read-only mounts. Dev and test mount the same path.", "{config: /etc/web}")
MOUNT_RW = Key[tuple[Mount, ...]](
    "mount_rw",
    _MOUNTS,
    "Read-write mounts. Dev and test mount the corresponding directory in the test area.",
    _S,
    (),
    scope=Scope.SERVICE,
    details="All mount keys take a list of pairs `source: target`, or one map. A relative source is in the service's "
    "directory below `vol_base`; without a target, it is mounted at its own path. `shared: true` with a `reason` lets "
    "other containers write there too.",
    example="mount_rw:\n  - data: /var/lib/web\n"
    "  - media: {target: /media, shared: true, reason: the importer writes there too}",
)
MOUNT_PERSISTENT = _mount(
    "mount_persistent",
    "Read-write mounts; dev and test write to the same directory. Dangerous: a test can damage production.",
    "{library: /library}",
)
MOUNT_LOGS = _mount(
    "mount_logs", "Read-write mounts; dev and test get an empty directory instead.", "{log: /var/log/web}"
)
MOUNT_TEST_ONLY = _mount(
    "mount_test_only", "Mounts of dev and test alone, read-write; production ignores them.", "{fixtures: /fixtures}"
)
MOUNT_PERSISTENT_TEST_RO = _mount(
    "mount_persistent_test_ro",
    "Read-write mounts; dev and test mount the same directory read-only.",
    "{archive: /archive}",
)
MOUNT_PERSISTENT_TEST_COPY = _mount(
    "mount_persistent_test_copy",
    "Read-write mounts; dev and test get a copy of the directory and of the files directly in it.",
    "{state: /var/lib/state}",
)
MOUNT_PERSISTENT_TEST_COPY_TREE = _mount(
    "mount_persistent_test_copy_tree",
    "Read-write mounts; dev and test get a copy of the directory tree, without files.",
    "{spool: /var/spool/web}",
)
MOUNT_PERSISTENT_TEST_COPY_FILES = _mount(
    "mount_persistent_test_copy_files",
    "Read-write mounts; dev and test get a copy of the directory tree with its files.",
    "{db: /var/lib/postgresql/data}",
)
TEST_COPY = Key(
    "test_copy",
    types.Text("auto, reflink, overlay or copy", "auto|reflink|overlay|copy"),
    "How dev and test copy directories: `reflink`, `overlay`, `copy`, or `auto`, the first of these that the file "
    "system supports.",
    _S,
    "auto",
    required=True,
    details="- `reflink`: files share their blocks until one changes.\n"
    "- `overlay`: production's directory is the lower layer of an overlay; changes are written elsewhere.\n"
    "- `copy`: every byte is copied.",
)
VOLS = Key[tuple[Volume, ...]](
    "vols",
    types.Flattened(Volumes()),
    "Directories and files to create if they are missing: paths, or maps of `path`, `owner`, `group`, `perm`, `type` "
    "(`dir` or `file`) and `contents`.",
    _S,
    (),
    scope=Scope.SERVICE,
    details="`owner` and `group` are names or IDs of the host; `user/NAME` and `group/NAME` are those of the service. "
    "`contents` is a text, `file:PATH` of a file in the service's directory, or `command:…`, which a shell runs there "
    "at launch.\n\n"
    "In dev and test, paths below the service's data directory are created in the test area, and mounted from there.",
    example="vols:\n  - data\n  - {path: conf, owner: user/web, perm: 0750}\n"
    '  - {path: conf/token, type: file, contents: "", perm: 0600}',
)
VOL_DEFAULTS = Key(
    "vol_defaults",
    Defaults(),
    "Default `owner`, `group` and `perm` of everything that `vols` and mounts create.",
    _S,
    VolumeDefaults(),
    shown_default="the user that the image runs as",
    example="vol_defaults: {owner: user/web, perm: 0750}",
)
SHIFT_UIDS = Key[int | None](
    "shift_uids",
    types.Integer(),
    "Number to add to UIDs of containers to get those of the host.",
    _S,
    None,
    shown_default="as the engine maps users",
    example="shift_uids: 100000",
)
SHIFT_GIDS = Key[int | None](
    "shift_gids",
    types.Integer(),
    "Number to add to GIDs of containers to get those of the host.",
    _S,
    None,
    shown_default="as the engine maps groups",
    example="shift_gids: 100000",
)

# ------------------------------------------------------------------------------------------------ scans and checks
_S = "Scans and checks"
COWSCAN = Key[tuple[Rule, ...]](
    "cowscan",
    Rules(),
    "Changes that d-cowscan expects in this service's containers: rules as in `/etc/dockyard/cowscan.yaml`, each a map "
    "with `path` and `reason`.",
    _S,
    (),
    scope=Scope.SERVICE,
    in_environment=False,
    example="cowscan:\n  - path: /var/log/web/*.log\n    reason: the program's log files",
)
KNOWN_CHANGES = Key(
    "known_changes",
    types.Boolean(),
    "Expect changes in spool, cache and PID directories of well-known programs, such as `/var/lib/nginx/body`, but no "
    "new programs there.",
    _S,
    True,
    scope=Scope.HOST,
    details="This applies to d-cowscan, and to an upgrade when it saves what the old container had changed.",
)
BACKUP = Key[str | None](
    "backup",
    _DIRECTORY,
    "File or directory that every backup or snapshot of this host's data changes, such as its log or its list of "
    "snapshots. `d check` reports it when it is too old.",
    _S,
    None,
    scope=Scope.HOST,
    example="backup: /var/log/borgmatic.log",
)
BACKUP_MAX_AGE = Key(
    "backup_max_age",
    types.Integer(1, 3650),
    "Days without a backup after which `d check` reports it.",
    _S,
    2,
    scope=Scope.HOST,
)
CHECK = Key[tuple[Acceptance, ...]](
    "check",
    Acceptances(),
    "Findings of `d check` that are accepted for this service: maps with `id` and `reason`, optionally `about`, `by` "
    "and `until`.",
    _S,
    (),
    scope=Scope.SERVICE,
    in_environment=False,
    details="`about` is a part of the finding's text, if not every finding of that `id` is accepted; `by` is who is "
    "responsible; `until` is the last day on which the acceptance counts, such as `2027-01-31`.",
    example="check:\n  - id: no-health-check\n    reason: the program has no port that a check could query",
)

# ------------------------------------------------------------------------------------------------------ the image
_S = "The image"
TRIM = Key(
    "trim",
    types.Boolean(),
    "Trim the image at each build to what the Test uses and `keep` names. The trimmed image is used only if it passes "
    "the Test. `d-build --trim` does it once.",
    _S,
    False,
    scope=Scope.SERVICE,
)
BUILD_SECRETS = Key[tuple[BuildSecret, ...]](
    "build_secrets",
    types.Flattened(types.BuildSecrets()),
    "Secrets for `RUN --mount=type=secret,id=ID` in the Dockerfile: `ID`, or `ID=NAME` if `secret_command` knows it by "
    "another name; or a map.",
    _S,
    (),
    scope=Scope.SERVICE,
    details="Docker needs BuildKit for this. A new value of a secret does not trigger a build.",
    example="build_secrets:\n  - npm\n  - pip=pip-index-password",
)
KEEP_IMAGES = Key(
    "keep_images",
    types.Integer(0, 1000),
    "Number of earlier live images to retain for `d rollback --to`, in addition to the current one. They have tags of "
    "their own, which `d clean` leaves alone.",
    _S,
    3,
)
KEEP = Key[tuple[str, ...]](
    "keep",
    types.ListOf(PathPattern()),
    "Paths that trimming leaves in the image although the Test does not open them, and patterns as in rules of "
    "`cowscan`.",
    _S,
    (),
    scope=Scope.SERVICE,
    details="Libraries that such a program is linked with stay too.",
    example="keep:\n  - /usr/share/zoneinfo/\n  - /etc/ssl/**",
)
UPDATES = Key(
    "updates",
    UpdatePolicy(),
    "Which updates of base images are applied, and when: a map of `track`, `hold`, `cooldown`, `window`, `notes`, "
    "`remind`, `rebuild` and `images`.",
    _S,
    Updates(),
    shown_default="`{track: tag, hold: none, cooldown: 3d, window: always, remind: 14d, rebuild: 7d}`",
    combine=complete,
    details="- `track`: versions to follow: `^16`, `~3.12`, `any`, `tag`, or a pattern between slashes.\n"
    "- `hold`: versions that are not applied: `major`, `all`, `none`, or the first version that is held.\n"
    "- `cooldown`: how long a new digest waits: `3d`, `12h`, `2w` or `0`.\n"
    "- `window`: when updates are applied: `Sun 03:00-05:00`, several as a list, or `always`.\n"
    "- `notes`: the address of the release notes; `{version}` in it is replaced.\n"
    "- `remind`: time after which a pending update is reported again.\n"
    "- `rebuild`: how often packages are fetched again, by a build without the cache; `0` for never.\n"
    "- `images`: the same fields for single images, by name.\n\n"
    "Fields that settings.yaml leaves out come from the host file.",
    example="updates:\n  track: ^16\n  hold: major\n  window: Sun 03:00-05:00\n  images:\n"
    "    debian: {cooldown: 1w, rebuild: 1d}",
)

# ------------------------------------------------------------------------------------------------------- the host
_S = "The host"
VOL_BASE = Key(
    "vol_base",
    _DIRECTORY,
    "Directory in which services store their data, each in a directory of its own name.",
    _S,
    "/rw/dv",
    environment=("DOCKER_VOL_BASE",),
    scope=Scope.HOST,
    required=True,
)
ENGINE = Key[str | None](
    "engine",
    types.Text("docker or podman, a name or a path"),
    "Container engine, docker or podman: a name or a path.",
    _S,
    None,
    shown_default="docker, else podman",
    environment=("DOCKER_EXEC",),
    scope=Scope.HOST,
    example="engine: podman",
)
SRC_DIR = Key[str | None](
    "d_src_dir",
    _DIRECTORY,
    "Directory of all services.",
    _S,
    None,
    environment=("D_SRC_DIR",),
    scope=Scope.HOST,
    example="d_src_dir: /srv/services",
)
SRC_DIR2 = Key[str | None](
    "d_src_dir2",
    _DIRECTORY,
    "Second directory of services, for private ones.",
    _S,
    None,
    environment=("D_SRC_DIR2",),
    scope=Scope.HOST,
    example="d_src_dir2: /srv/private-services",
)
OFFLINE = Key(
    "offline",
    types.Boolean(),
    "Never ask registries for newer base images.",
    _S,
    False,
    scope=Scope.HOST,
)
SECRET_COMMAND = Key[tuple[str, ...]](
    "secret_command",
    types.Words(),
    "Command that prints the secret `{name}`. It runs at launch, for `env` values `*NAME`, and before a build, for "
    "`build_secrets`.",
    _S,
    (),
    scope=Scope.HOST,
    example="secret_command: pass show {name}",
)
SCAN_COMMAND = Key[tuple[str, ...]](
    "scan_command",
    types.Words(),
    "Command that writes the vulnerabilities of the image `{image}`, or of its archive `{archive}`, as JSON of grype "
    "or trivy, or as SARIF.",
    _S,
    (),
    scope=Scope.HOST,
    details="An upgrade to an image with vulnerabilities that the running image does not have is refused. With trivy: "
    "`trivy image -f json --input {archive}`.",
    example="scan_command: grype -o json {image}",
)
SCAN_SEVERITY = Key(
    "scan_severity",
    types.Text("low, medium, high or critical", r"low|medium|high|critical"),
    "Minimum severity of the vulnerabilities for which `scan_command` blocks an upgrade: `low`, `medium`, `high` or "
    "`critical`.",
    _S,
    "high",
    scope=Scope.HOST,
)
BUILD_REPO = Key[str | None](
    "build_repo",
    types.Text("a repository such as `ktools` or `host:5000`", r"[a-zA-Z0-9][a-zA-Z0-9_.:/-]*"),
    "Repository that d-build builds for.",
    _S,
    None,
    shown_default="`repo1`",
    environment=("DBUILD_REPO",),
    example="build_repo: registry.example.org:5000",
)
BUILD_PARAMS = Key[tuple[str, ...]](
    "build_params",
    types.Words(),
    "Additional flags for the engine's build command.",
    _S,
    (),
    environment=("DBUILD_PARAMS",),
    example="build_params: --network host",
)
BUILD_APK_CACHE = Key[str | None](
    "build_podman_shared_apk_cache",
    types.Text("`0`, `1` or an absolute path", r"0|1|/[^:]*"),
    "Package cache that all builds with podman share: a directory, or `1` for /var/cache/dockyard/apk.",
    _S,
    None,
    environment=("DBUILD_PODMAN_SHARED_APK_CACHE",),
    scope=Scope.HOST,
    example="build_podman_shared_apk_cache: 1",
)
BASE_IMAGE = Key[str | None](
    "base_image",
    types.Text("an image name such as `ktools/base:live`", r"[a-zA-Z0-9][a-zA-Z0-9_.:/@-]*"),
    "Base image of the services that `d new` creates.",
    _S,
    None,
    shown_default="`repo1/base` if it exists, else `debian:stable-slim`",
    scope=Scope.HOST,
    example="base_image: ktools/base:live",
)
TEST_PROD = Key(
    "drun_test_prod",
    types.Boolean(),
    "Run `./Test-prod -r` instead of `./Test -r` in `make test` and `d test`.",
    _S,
    False,
    environment=("KTOOLS_DRUN_TEST_PROD",),
    scope=Scope.HOST,
)
NOTIFY = Key(
    "notify",
    _TEXTS,
    "Addresses to notify of failures, in the format of the apprise library: `mailto://…`, `ntfy://…`, `json://…`.",
    _S,
    (),
    scope=Scope.HOST,
    example="notify: [ntfy://ntfy.example.org/alerts]",
)
HEARTBEAT = Key[str | None](
    "heartbeat",
    types.Text("an address that begins with `http://` or `https://`", r"https?://[^\s/]+\S*"),
    "URL that `d check-all-up --notify` calls after each run that checked and reported everything. A service that "
    "expects these calls detects a timer that does not run.",
    _S,
    None,
    scope=Scope.HOST,
    example="heartbeat: https://monitor.example.org/ping/web",
)
MAX_DISK_USE = Key(
    "max_disk_use",
    types.Integer(1, 100),
    "Disk usage in percent at which `d check-all-up` reports a file system with data or images.",
    _S,
    90,
    scope=Scope.HOST,
)
DEBUG_TOOLS = Key[str | None](
    "debug_tools",
    _DIRECTORY,
    "Directory of static programs that `d debug` copies into a container.",
    _S,
    None,
    shown_default="the host's static busybox",
    scope=Scope.HOST,
    example="debug_tools: /opt/debug-tools",
)

KEYS: dict[str, Key[Any]] = {key.name: key for key in tuple(globals().values()) if isinstance(key, Key)}
"""Every key by its name, in the order of the entries above."""
