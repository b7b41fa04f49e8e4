"""THE table of settings: each key's name, type, defaults, help, where it may be written, and its engine flag.

Reading, checking, the flags of d-run, `--explain`, and docs/reference/settings.md all come from here. To add a key, add
one entry; one that is more than a flag of the engine is also read in plan/launch.py.
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
    "Container name. Dev and test instances get `dev-` or `test-` in front.",
    _S,
    "",
    shown_default="base name of the directory",
    environment=("KTOOLS_DRUN_NAME",),
    flags=("-n", "--name"),
    scope=Scope.SERVICE,
    required=True,
)
NAME_PREFIX = Key[str | None](
    "name_prefix",
    types.Text("letters, digits, `_`, `.` and `-`", r"[a-zA-Z0-9_.-]*"),
    "What stands in front of the name.",
    _S,
    "",
    by_mode={Mode.DEV: "dev-", Mode.TEST: "test-"},
    shown_default="dev `dev-`, test `test-`",
    flags=("--name_prefix",),
    read_as={Mode.DEV: ("dev_", "test_"), Mode.TEST: ("test_",)},
)
HOSTNAME = Key[str | None](
    "hostname",
    types.Text("a host name of letters, digits, `_`, `.` and `-`", r"[a-zA-Z0-9_.-]+"),
    "Host name inside. `HOSTNAME` in it is replaced by the host's own name.",
    _S,
    None,
    shown_default="the container's name",
    environment=("KTOOLS_DRUN_HOSTNAME",),
    flags=("-H", "--hostname"),
)
IMAGE = Key(
    "image",
    types.Text("an image's name such as `web` or `host:5000/web:1.0`", r"[a-zA-Z0-9][a-zA-Z0-9_.:/@-]*"),
    "Image. With `/` or `:` in it, a full reference; otherwise looked up as `repo1/NAME:TAG`, then "
    "`repo2/NAME:TAG`, then `NAME:TAG`.",
    _S,
    "",
    shown_default="base name of the directory",
    flags=("-i", "--image"),
    scope=Scope.SERVICE,
    required=True,
)
REPO1 = Key[str | None](
    "repo1",
    types.Text("a repository such as `ktools` or `host:5000`", r"[a-zA-Z0-9][a-zA-Z0-9_.:/-]*"),
    "First repository to look in, and the one that d-build builds for. With `:` in it, a registry.",
    _S,
    "ktools",
    environment=("KTOOLS_DRUN_REPO",),
    flags=("--repo",),
)
REPO2 = Key[str | None](
    "repo2",
    types.Text("a repository such as `ktools` or `host:5000`", r"[a-zA-Z0-9][a-zA-Z0-9_.:/-]*"),
    "Second repository to look in.",
    _S,
    None,
    environment=("KTOOLS_DRUN_REPO2",),
    flags=("--repo2",),
)
TAG = Key(
    "tag",
    types.Text("a tag, an image id or a digest", r"[a-zA-Z0-9_][a-zA-Z0-9_.:-]*"),
    "Tag, or image id or digest.",
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
    "Command, in place of the image's. A string (shell quoting) or a list.",
    _S,
    (),
    flags=("--cmd",),
    scope=Scope.SERVICE,
)
EXTRA_INIT = Key[tuple[str, ...]](
    "extra_init",
    types.Words(),
    "Further arguments after `cmd`.",
    _S,
    (),
    flags=("--extra-init",),
    scope=Scope.SERVICE,
)
DEBUG_EXTRA_INIT = Key[tuple[str, ...]](
    "debug_extra_init",
    types.Words(),
    "In dev and test in place of `extra_init`; `test_extra_init` and `dev_extra_init` are stronger.",
    _S,
    (),
    scope=Scope.SERVICE,
)
DEBUG_ALT_CMND = Key[tuple[str, ...]](
    "debug_alt_cmnd", types.Words(), "In dev and test: the entrypoint.", _S, (), scope=Scope.SERVICE
)
ENV = Key[tuple[Variable, ...]](
    "env",
    types.Flattened(types.Environment()),
    "Environment: `K=V` items, maps, or one map. A value `*NAME` is the secret of that name (see "
    "`secret_command`); `\\*` writes a literal star.",
    _S,
    (),
    flags=("-e", "--env"),
)
PUID = Key[str | None](
    "puid",
    types.Text(),
    "Sets `$PUID`, a secret that is the same each time for this host and container. Empty: not set.",
    _S,
    "auto",
    flags=("--puid",),
)
TZ = Key[str | None](
    "tz",
    types.Text("a time zone such as `Europe/Vienna`", r"[A-Za-z0-9_+:,./<>-]+"),
    "Sets `$TZ`. Empty: not set.",
    _S,
    "auto",
    shown_default="the host's zone",
)

# ------------------------------------------------------------------------------------------------ where it runs
_S = "Where it runs"
NETWORK = Key(
    "network",
    types.Text("a network's name of letters, digits, `_`, `.`, `:` and `-`", r"[a-zA-Z0-9][a-zA-Z0-9_.:-]*"),
    "Network. `none`: no network, in dev and test too. Otherwise dev and test never take this one, but "
    "`dev_network` or `test_network`.",
    _S,
    "bridge",
    environment=("KTOOLS_DRUN_NETWORK",),
    flags=("-N", "--network"),
    required=True,
    read_as={Mode.DEV: ("dev_", "test_"), Mode.TEST: ("test_",)},
    shared=frozenset({"none", "NONE"}),
)
IP = Key[str | None](
    "ip",
    types.Address(),
    "Address to pin: an address, a name to look up, or `-`: look up the hostname, then the "
    "directory's base name. Empty or `0`: the engine picks.",
    _S,
    "-",
    environment=("KTOOLS_DRUN_IP",),
    flags=("--ip",),
)
SUBNET = Key[int | None](
    "subnet",
    types.Integer(0, 255),
    "Replaces the third octet of the pinned address, so that test instances show by address.",
    _S,
    None,
    by_mode={Mode.DEV: 3, Mode.TEST: 3},
    shown_default="none; dev and test `3`",
    flags=("--subnet",),
)
PORTS = Key[tuple[Port, ...]](
    "ports",
    types.Flattened(types.Ports()),
    "Published ports: `host:container`, `ip:host:container`, perhaps with `/udp`. In dev and test the host port "
    "is shifted by `port_offset`, and bound to 127.0.0.1 where no address is named.",
    _S,
    (),
    flags=("-p", "--ports"),
    scope=Scope.SERVICE,
)
IPV6_PORTS = Key(
    "ipv6_ports",
    types.Boolean(),
    "Publish ports that name no address on IPv6 too.",
    _S,
    False,
    flags=("-6", "--ipv6"),
)
PORT_OFFSET = Key[int | str](
    "port_offset",
    types.OrWord(types.Integer(1, 65534), "auto"),
    "What dev and test add to host ports. `auto`, or past 65535: the engine picks a free one.",
    _S,
    10000,
)
DNS = Key("dns", _TEXTS, "DNS servers.", _S, (), emit=each("--dns"))
ADD_HOST = Key(
    "add_host",
    _TEXTS,
    "Lines `name:address` for /etc/hosts.",
    _S,
    (),
    emit=each("--add-host"),
)
MOUNT_DEVICES = Key("mount_devices", _PATHS, "Devices, patterns allowed.", _S, (), scope=Scope.SERVICE)
EXTRA_DOCKER = Key[tuple[str, ...]](
    "extra_docker",
    types.Words(),
    "Raw flags for the engine. A string (shell quoting) or a list.",
    _S,
    (),
    flags=("--extra-docker",),
)
LOG = Key[LogDriver | None](
    "log",
    types.Log(),
    "`n`/`none`; `s`/`syslog`, `s:URL`: never blocks, 4 MB buffer, facility local3, the name as tag; `j`/`json`: "
    "3 files of 5 MB; `journald`; `p`/`passthrough`: no flag; anything else: a driver of the engine.",
    _S,
    None,
    by_mode={Mode.DEV: LogDriver("none")},
    shown_default="the engine's; dev `none`",
    environment=("KTOOLS_DRUN_LOG",),
    flags=("-L", "--log"),
    read_as={Mode.DEV: ("dev_",)},
)
FOREGROUND = Key(
    "foreground",
    types.Boolean(),
    "Attached, with the output on the terminal.",
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
    "Wave to start in, `4` or `4,host=NAME`. A file `autostart` in the directory counts where settings.yaml has "
    "none; an empty one means 5.",
    _S,
    None,
    scope=Scope.SERVICE,
)

MAX_AGE = Key[int | None](
    "max_age",
    types.Integer(1),
    "Days after which `d check-all-up` reports the image in production as old.",
    _S,
    None,
    shown_default="any age",
)


def _flag(name: str, type_: types.Type[T], text: str) -> Key[T | None]:
    """Return a key that is passed on as the engine's flag of the same name."""
    flag = f"--{name.replace('_', '-')}"
    return Key[T | None](name, type_, text, _S, None, emit=option(flag))


MEMORY = _flag("memory", _SIZE, "Memory limit, such as `512m`.")
CPUS = _flag(
    "cpus", types.Text("a number such as `1.5`", r"[0-9]+(\.[0-9]+)?"), "Processors it may use, such as `1.5`."
)
PIDS_LIMIT = _flag("pids_limit", types.Integer(-1), "Most processes; -1: no limit.")
USER = Key[str | None](
    "user",
    types.Text("`user`, `uid` or either with `:group`", r"[a-zA-Z0-9_.-]+(:[a-zA-Z0-9_.-]+)?"),
    "User that it runs as, in place of the image's.",
    _S,
    None,
)
READ_ONLY = Key(
    "read_only",
    types.Boolean(),
    "The image's files cannot be changed.",
    _S,
    False,
    emit=switch("--read-only"),
)
TMPFS = Key(
    "tmpfs",
    _PATHS,
    "Directories in memory, `/path` or `/path:size=64m`.",
    _S,
    (),
    emit=each("--tmpfs"),
)
CAP_ADD = Key("cap_add", _TEXTS, "Capabilities to add.", _S, (), emit=each("--cap-add"))
CAP_DROP = Key(
    "cap_drop",
    _TEXTS,
    "Capabilities to drop; `ALL` for all.",
    _S,
    (),
    emit=each("--cap-drop"),
)
NO_NEW_PRIVILEGES = Key(
    "no_new_privileges",
    types.Boolean(),
    "No program inside can gain privileges.",
    _S,
    False,
    emit=switch("--security-opt", "no-new-privileges"),
)
ULIMITS = Key(
    "ulimits",
    _PAIRS,
    "Limits such as `nofile=1024:4096`.",
    _S,
    (),
    emit=each_pair("--ulimit"),
)
LABELS = Key(
    "labels",
    types.Flattened(types.Labels()),
    "Labels `K=V`, or a map.",
    _S,
    (),
    emit=each_pair("--label"),
)
STOP_TIMEOUT = Key[int | None](
    "stop_timeout",
    types.Integer(0, 86400),
    "Seconds that it has to end when it is stopped; then the engine kills it with SIGKILL.",
    _S,
    None,
    emit=option("--stop-timeout"),
)
STOP_SIGNAL = Key[str | None](
    "stop_signal",
    types.Text("the name or number of a signal, such as SIGINT", r"(SIG)?[A-Z][A-Z0-9+-]*|[1-9]\d?"),
    "Signal that asks it to end, such as SIGINT, instead of the image's or SIGTERM.",
    _S,
    None,
    emit=option("--stop-signal"),
)
RESTART = Key[str | None](
    "restart",
    types.Text("no, always, unless-stopped or on-failure[:N]", r"no|always|unless-stopped|on-failure(:\d+)?"),
    "Restart policy. Left out where `rm` is true.",
    _S,
    None,
)
START_FIRST = Key(
    "start_first",
    types.Boolean(),
    "Whether a new container that takes production's place starts before the old one stops: without a network, until "
    "it has stayed up and is healthy. Then the old one stops, and the new one joins the network. For services to which "
    "nothing is mounted writable; podman stops first all the same.",
    _S,
    False,
    scope=Scope.SERVICE,
)
HEALTHCHECK = Key[HealthCheck | None](
    "healthcheck",
    types.Health(),
    "A map of `cmd`, `interval`, `timeout`, `retries`, `start_period`; or a "
    "command; or `none`: not the image's either.",
    _S,
    None,
    emit=health_argv,
)

# --------------------------------------------------------------------------------------------------------- mounts
_S = "Mounts"


def _mount(name: str, text: str) -> Key[tuple[Mount, ...]]:
    return Key(name, _MOUNTS, text, _S, (), scope=Scope.SERVICE)


MOUNT_RO = _mount("mount_ro", "Read-only; dev and test mount the same path.")
MOUNT_RW = _mount(
    "mount_rw",
    "Read-write; dev and test mount the directory's twin below the test area. "
    "`- media: {target: /media, shared: true, reason: …}` lets other containers write there too.",
)
MOUNT_PERSISTENT = _mount(
    "mount_persistent",
    "Read-write; dev and test write to the very same directory. Dangerous: a test can harm production.",
)
MOUNT_LOGS = _mount("mount_logs", "Read-write; dev and test get one empty directory for it.")
MOUNT_TEST_ONLY = _mount("mount_test_only", "Left out in production; read-write in dev and test.")
MOUNT_PERSISTENT_TEST_RO = _mount(
    "mount_persistent_test_ro", "Read-write; dev and test mount the same directory read-only."
)
MOUNT_PERSISTENT_TEST_COPY = _mount(
    "mount_persistent_test_copy",
    "Read-write; dev and test get a copy of the directory and of the files directly in it.",
)
MOUNT_PERSISTENT_TEST_COPY_TREE = _mount(
    "mount_persistent_test_copy_tree",
    "Read-write; dev and test get a copy of the whole tree of directories, without any file.",
)
MOUNT_PERSISTENT_TEST_COPY_FILES = _mount(
    "mount_persistent_test_copy_files",
    "Read-write; dev and test get a copy of the whole tree with its files.",
)
TEST_COPY = Key(
    "test_copy",
    types.Text("auto, reflink, overlay or copy", "auto|reflink|overlay|copy"),
    "How dev and test copy. `reflink`: files share their blocks until one changes. `overlay`: production's directory "
    "is the lower side of an overlay, what is written goes elsewhere. `copy`: byte by byte. `auto`: the first of these "
    "that the file system can do.",
    _S,
    "auto",
    required=True,
)
VOLS = Key[tuple[Volume, ...]](
    "vols",
    types.Flattened(Volumes()),
    "Directories and files to make where they are missing: paths, or maps of `path`, `owner`, `group`, `perm`, `type` "
    "(`dir` or `file`) and `contents`. In dev and test those below the service's own directory are made in the test "
    "area, and what is mounted from there is mounted from the test area.",
    _S,
    (),
    scope=Scope.SERVICE,
)
VOL_DEFAULTS = Key(
    "vol_defaults",
    Defaults(),
    "A map of `owner`, `group` and `perm` for all that `vols` and mounts make.",
    _S,
    VolumeDefaults(),
    shown_default="the user that the image runs as",
)
SHIFT_UIDS = Key[int | None](
    "shift_uids",
    types.Integer(),
    "What is added to the uids of containers to get those of this host.",
    _S,
    None,
    shown_default="as the engine maps users",
)
SHIFT_GIDS = Key[int | None](
    "shift_gids",
    types.Integer(),
    "What is added to the gids of containers to get those of this host.",
    _S,
    None,
    shown_default="as the engine maps groups",
)
COWSCAN = Key[tuple[Rule, ...]](
    "cowscan",
    Rules(),
    "What d-cowscan is to expect in this service's own containers: rules as in `/etc/dockyard/cowscan.yaml`, each a "
    "map with `path` and `reason`.",
    _S,
    (),
    scope=Scope.SERVICE,
    in_environment=False,
)
KNOWN_CHANGES = Key(
    "known_changes",
    types.Boolean(),
    "Whether spool, cache and pid directories of well-known programs, such as `/var/lib/nginx/body`, are expected to "
    "change, but for programs in them: by d-cowscan, and when an upgrade saves what the old container had changed.",
    _S,
    True,
    scope=Scope.HOST,
)
BACKUP = Key[str | None](
    "backup",
    _DIRECTORY,
    "A file or directory that each backup or snapshot of this host's data changes, such as its log or its list of "
    "snapshots: `d check` reports one that is too old.",
    _S,
    None,
    scope=Scope.HOST,
)
BACKUP_MAX_AGE = Key(
    "backup_max_age",
    types.Integer(1, 3650),
    "Days after which `d check` reports that there was no backup.",
    _S,
    2,
    scope=Scope.HOST,
)
CHECK = Key[tuple[Acceptance, ...]](
    "check",
    Acceptances(),
    "Points of `d check` that are accepted for this service: maps with `id` and `reason`, perhaps `about`, `by` and "
    "`until`.",
    _S,
    (),
    scope=Scope.SERVICE,
    in_environment=False,
)

# ------------------------------------------------------------------------------------------------------ the image
_S = "The image"
TRIM = Key(
    "trim",
    types.Boolean(),
    "Whether each build leaves in the image only what the Test uses and `keep` names, and keeps that only if the Test "
    "passes on it; as `d-build --trim` does once.",
    _S,
    False,
    scope=Scope.SERVICE,
)
BUILD_SECRETS = Key[tuple[BuildSecret, ...]](
    "build_secrets",
    types.Flattened(types.BuildSecrets()),
    "Secrets that `RUN --mount=type=secret,id=ID` of the Dockerfile reads: `ID`, or `ID=NAME` if `secret_command` "
    "knows it by another name; or a map. Docker needs BuildKit for it. A new value alone does not build again.",
    _S,
    (),
    scope=Scope.SERVICE,
)
KEEP_IMAGES = Key(
    "keep_images",
    types.Integer(0, 1000),
    "How many images that were live are retained beside the one that is live, for `d rollback --to`. They have tags of "
    "their own, which `d clean` leaves alone.",
    _S,
    3,
)
KEEP = Key[tuple[str, ...]](
    "keep",
    types.ListOf(PathPattern()),
    "What trimming leaves in the image although its Test does not open it: paths, and patterns as in rules of "
    "`cowscan`, such as `/usr/share/zoneinfo/` and `/etc/ssl/**`. What a program kept so is linked with stays too.",
    _S,
    (),
    scope=Scope.SERVICE,
)
UPDATES = Key(
    "updates",
    UpdatePolicy(),
    "Which updates of base images are applied, and when: a map of `track` (versions: `^16`, `~3.12`, `any`, `tag`, or "
    "a pattern between slashes), `hold` (`major`, `all`, `none`, or the first version that is held), `cooldown` (`3d`, "
    "`12h`, `2w`, `0`), `window` (`Sun 03:00-05:00`, several as a list, or `always`), `notes` (the address of release "
    "notes), `remind` (after how long a pending update is reported again), `rebuild` (how often packages are fetched "
    "again, by a build without the cache; `0` for never), and `images`: the same for images by their "
    "names. Fields that settings.yaml leaves out are those of the host file.",
    _S,
    Updates(),
    shown_default="`{track: tag, hold: none, cooldown: 3d, window: always, remind: 14d, rebuild: 7d}`",
    combine=complete,
)

# ------------------------------------------------------------------------------------------------------- the host
_S = "The host"
VOL_BASE = Key(
    "vol_base",
    _DIRECTORY,
    "Where services keep their data, each below its own name.",
    _S,
    "/rw/dv",
    environment=("DOCKER_VOL_BASE",),
    scope=Scope.HOST,
    required=True,
)
ENGINE = Key[str | None](
    "engine",
    types.Text("docker or podman, a name or a path"),
    "The engine, docker or podman: a name or a path.",
    _S,
    None,
    shown_default="docker, else podman",
    environment=("DOCKER_EXEC",),
    scope=Scope.HOST,
)
SRC_DIR = Key[str | None](
    "d_src_dir",
    _DIRECTORY,
    "The directory of all services.",
    _S,
    None,
    environment=("D_SRC_DIR",),
    scope=Scope.HOST,
)
SRC_DIR2 = Key[str | None](
    "d_src_dir2",
    _DIRECTORY,
    "A second one, for private services.",
    _S,
    None,
    environment=("D_SRC_DIR2",),
    scope=Scope.HOST,
)
OFFLINE = Key(
    "offline",
    types.Boolean(),
    "Whether registries are never asked for newer base images.",
    _S,
    False,
    scope=Scope.HOST,
)
SECRET_COMMAND = Key[tuple[str, ...]](
    "secret_command",
    types.Words(),
    "Prints the secret `{name}`, such as `pass show {name}`. Run at launch, for `env` values `*NAME`, and before a "
    "build, for `build_secrets`.",
    _S,
    (),
    scope=Scope.HOST,
)
SCAN_COMMAND = Key[tuple[str, ...]](
    "scan_command",
    types.Words(),
    "Writes the vulnerabilities of the image `{image}`, or of its archive `{archive}`, as JSON of grype or trivy or as "
    "SARIF: `grype -o json {image}`, `trivy image -f json --input {archive}`. An upgrade to an image with "
    "vulnerabilities that the running image does not have is refused.",
    _S,
    (),
    scope=Scope.HOST,
)
SCAN_SEVERITY = Key(
    "scan_severity",
    types.Text("low, medium, high or critical", r"low|medium|high|critical"),
    "The least severity for which `scan_command` has an upgrade refused.",
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
)
BUILD_PARAMS = Key[tuple[str, ...]](
    "build_params", types.Words(), "Further flags for the engine's build.", _S, (), environment=("DBUILD_PARAMS",)
)
BUILD_APK_CACHE = Key[str | None](
    "build_podman_shared_apk_cache",
    types.Text("`0`, `1` or an absolute path", r"0|1|/[^:]*"),
    "Podman: a package cache shared by all builds. A directory, or `1` for /var/cache/dockyard/apk.",
    _S,
    None,
    environment=("DBUILD_PODMAN_SHARED_APK_CACHE",),
    scope=Scope.HOST,
)
BASE_IMAGE = Key[str | None](
    "base_image",
    types.Text("an image's name such as `ktools/base:live`", r"[a-zA-Z0-9][a-zA-Z0-9_.:/@-]*"),
    "Image that `d new` builds on.",
    _S,
    None,
    shown_default="`repo1/base`, where there is one, else `debian:stable-slim`",
    scope=Scope.HOST,
)
TEST_PROD = Key(
    "drun_test_prod",
    types.Boolean(),
    "Whether `make test` and `d test` run `./Test-prod -r` in place of `./Test -r`.",
    _S,
    False,
    environment=("KTOOLS_DRUN_TEST_PROD",),
    scope=Scope.HOST,
)
NOTIFY = Key(
    "notify",
    _TEXTS,
    "Addresses to tell of failures, as the apprise library has them: `mailto://…`, `ntfy://…`, `json://…`.",
    _S,
    (),
    scope=Scope.HOST,
)
HEARTBEAT = Key[str | None](
    "heartbeat",
    types.Text("an address that begins with `http://` or `https://`", r"https?://[^\s/]+\S*"),
    "An address that `d check-all-up --notify` calls after each run in which everything was checked and reported. "
    "A service that expects these calls notices a timer that does not run.",
    _S,
    None,
    scope=Scope.HOST,
)
MAX_DISK_USE = Key(
    "max_disk_use",
    types.Integer(1, 100),
    "Percent of a file system with data or images from which `d check-all-up` reports it.",
    _S,
    90,
    scope=Scope.HOST,
)
DEBUG_TOOLS = Key[str | None](
    "debug_tools",
    _DIRECTORY,
    "A directory of static programs that `d debug` brings into a container.",
    _S,
    None,
    shown_default="the host's static busybox",
    scope=Scope.HOST,
)

KEYS: dict[str, Key[Any]] = {key.name: key for key in tuple(globals().values()) if isinstance(key, Key)}
"""Every key by its name, in the order in which they are written above."""
