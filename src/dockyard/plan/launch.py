"""Settings and facts → the launch of one instance: host steps, then one engine command."""

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from dockyard.engine.dialect import Dialect
from dockyard.engine.models import (
    DIRECTORY_LABEL,
    MODE_LABEL,
    RUN_LABEL,
    SECRETS_LABEL,
    SERVICE_LABEL,
    SHARED_LABEL,
    SUFFIXES,
    Container,
    Image,
)
from dockyard.errors import DockyardError, NoSuchNameError
from dockyard.plan.copies import ChosenCopy
from dockyard.plan.facts import Facts, Questions
from dockyard.plan.fitness import Started, lacks, unfit
from dockyard.plan.flags import flag_values, is_set
from dockyard.plan.mounts import MountPart, copied, mount_part, needs_owners, nested, sources
from dockyard.plan.network import Part, can_pin, lookups, network_name, network_part, ports_part
from dockyard.plan.owners import host_names
from dockyard.plan.ownership import Finding
from dockyard.plan.places import is_within, normal, places_of
from dockyard.plan.start_first import obstacles, read_only_sources
from dockyard.plan.values import Command, EmptyTestArea, Secret, Step
from dockyard.plan.volumes import volumes_here
from dockyard.settings.keys import (
    CMD,
    DEBUG_ALT_CMND,
    DEBUG_EXTRA_INIT,
    ENV,
    EXTRA_DOCKER,
    EXTRA_INIT,
    FOREGROUND,
    HOSTNAME,
    IMAGE,
    KEYS,
    LOG,
    MOUNT_DEVICES,
    NAME,
    NAME_PREFIX,
    NETWORK,
    PUID,
    REPO1,
    REPO2,
    RESTART,
    RM,
    START_FIRST,
    TAG,
    TZ,
    USER,
    VOL_BASE,
)
from dockyard.settings.resolve import Settings
from dockyard.settings.types import has_glob
from dockyard.settings.values import LogDriver, Mode, Variable

MODE_FLAGS = {Mode.PROD: (), Mode.DEV: ("--dev",), Mode.TEST: ("--dev-test",), Mode.IN_PLACE: ("--test-in-place",)}

# Bash where the image has it: asked inside, as nothing outside knows.
SHELL = ("-c", "command -v bash >/dev/null && exec bash; exec sh")


class LaunchOptions(NamedTuple):
    """How an instance is launched, apart from its settings. `terminal`: a person sits at both ends.

    `run` marks what one run of a Test launched, so that it finds its own again.
    """

    directory: str = ""
    file: str = ""
    shell: bool = False
    test_data: bool = False
    fail_on_exists: bool = False
    terminal: bool = False
    run: str = ""


class LaunchPlan(NamedTuple):
    """The launch of one instance.

    `image` is the reference that was found, `area` its test area if it has one, `unfit` what its user cannot use,
    `shared` the directories that it shares with production on purpose, `nested` sources that lie in writable ones,
    `alone` why it cannot run beside the one before it although it is to start first, `permitted` sources that other
    containers may write to as well.
    """

    service: str
    settings: Settings
    name: str
    image: str
    image_id: str
    foreground: bool
    steps: tuple[Step, ...]
    notes: tuple[str, ...]
    area: EmptyTestArea | None = None
    secrets: tuple[Secret, ...] = ()
    copies: tuple[ChosenCopy, ...] = ()
    unfit: tuple[Finding, ...] = ()
    shared: tuple[str, ...] = ()
    nested: tuple[tuple[str, str], ...] = ()
    alone: tuple[str, ...] = ()
    permitted: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    """What the engine's command says before the image: what follows is for the program inside."""
    lacks: tuple[str, ...] = ()
    """Capabilities that settings take from a program that begins as root, and that it may need at its start."""

    @property
    def test_areas(self) -> str:
        """The directory of all test areas on this host."""
        return f"{normal(self.settings[VOL_BASE])}/TMP"

    @property
    def advice(self) -> list[str]:
        """What may be the reason where the instance does not stay up: what its user cannot use, and how to fix it."""
        return [
            line
            for finding in self.unfit
            for line in (finding.message, f"fix it with: {finding.fix}" if finding.fix else finding.instead)
        ]

    @property
    def argv(self) -> tuple[str, ...]:
        """The engine's command that launches it."""
        command = self.steps[-1]
        assert isinstance(command, Command)  # noqa: S101 - the last step of every launch
        return command.argv

    @property
    def _inside(self) -> tuple[str, ...]:
        """What follows the flags: perhaps an entrypoint, the image, what the program inside gets."""
        return self.argv[len(self.flags) :]

    @property
    def labels(self) -> dict[str, str]:
        """The labels that the container gets."""
        return dict(label.partition("=")[::2] for label in flag_values(self.flags, "label"))

    @property
    def fingerprint(self) -> str:
        """A hash of all that an instance is launched with, its image apart: whether settings mean something new."""
        import hashlib

        inside = _with_image(self._inside, "")
        return hashlib.sha256("\0".join((*self.flags, "", *inside)).encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def labelled(self, labels: Mapping[str, str]) -> "LaunchPlan":
        """Return the launch with further labels."""
        flags = (*self.flags, *_label_flags(labels))
        command = Command((*flags, *self._inside), self.secrets)
        return self._replace(flags=flags, steps=(*self.steps[:-1], command))

    def creation(self, name: str, image: str, labels: Mapping[str, str]) -> Command:
        """Return what creates the instance under a name, from an image, and does not start it."""
        kept = [word for word in self.flags[1 : self.flags.index("--name")] if word != "--detach"]
        flags = self.flags[self.flags.index("--name") + 2 :]
        argv = ("create", *kept, "--name", name, *flags, *_label_flags(labels), *_with_image(self._inside, image))
        return Command(argv, self.secrets)

    def shell(self, program: str) -> list[str]:
        """Return the plan as lines to paste into a shell."""
        return [step.shell(program) for step in self.steps]


def _label_flags(labels: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(word for label, value in labels.items() for word in ("--label", f"{label}={value}"))


def _with_image(inside: tuple[str, ...], image: str) -> tuple[str, ...]:
    """Return what follows the flags with another image; an entrypoint may stand before it."""
    at = 2 if inside[0] == "--entrypoint" else 0
    return (*inside[:at], image, *inside[at + 1 :])


def container_name(settings: Settings) -> str:
    """Return the name that the instance gets."""
    return (settings[NAME_PREFIX] or "") + settings[NAME]


def _free_for_services(name: str) -> str:
    """Return a container's name; raises DockyardError for one that a switch would take for what it left."""
    if name.endswith(SUFFIXES):
        ends = ", ".join(f"`{suffix}`" for suffix in SUFFIXES)
        raise DockyardError(
            f"`{name}`: the name is reserved", hint=f"{ends} are reserved for upgrades: set another `name`"
        )
    return name


def image_candidates(settings: Settings) -> tuple[str, ...]:
    """Return the references to try, the best first."""
    name, tag = settings[IMAGE], settings[TAG]
    if "/" in name or ":" in name:
        return (name,)
    separator = "@" if tag.startswith("sha256:") else ":"
    repositories = [repo for repo in (settings[REPO1], settings[REPO2]) if repo]
    named = [*(f"{repo}/{name}{separator}{tag}" for repo in repositories), f"{name}{separator}{tag}"]
    return (*named, tag) if _may_be_id(tag) else tuple(named)


_SHORT_ID, _LONG_ID = 12, 40  # digits: of an id as lists have it, and the fewest of a whole one


def _may_be_id(tag: str) -> bool:
    """Return whether a tag may be an image's id, which need not be a sha256: podman 6 no longer promises that."""
    digits = tag.removeprefix("sha256:")
    has_length = len(digits) == _SHORT_ID or len(digits) >= _LONG_ID
    return has_length and not set(digits) - set("0123456789abcdef")


def questions(service: str, settings: Settings, options: LaunchOptions, dialect: Dialect, host_name: str) -> Questions:
    """Return which facts are needed before the launch can be planned."""
    network = network_name(settings)
    places = places_of(settings, service, test_data=options.test_data)
    found = list(dict.fromkeys(sources(settings, places)))
    pins = can_pin(settings, dialect.bridge_pins_addresses)
    return Questions(
        images=image_candidates(settings),
        container=container_name(settings),
        labels=(f"{SERVICE_LABEL}={service}", f"{MODE_LABEL}={settings.mode.value}") if places.test_data else (),
        network=(dialect.bridge_network if network == "bridge" else network) if pins else "",
        lookups=lookups(settings, _own_names(service, settings, host_name), dialect.bridge_pins_addresses),
        paths=(*(path for path in found if not has_glob(path)), *_further_paths(settings)),
        patterns=(
            *(path for path in found if has_glob(path)),
            *(device for device in settings[MOUNT_DEVICES] if has_glob(device)),
        ),
        made=tuple(source for source, _ in volumes_here(settings, places)),
        copied=tuple(copied(settings, places)),
        base=places.base,
        users=host_names(settings, "owner"),
        groups=host_names(settings, "group"),
        ids=needs_owners(settings, places),
    )


def _further_paths(settings: Settings) -> tuple[str, ...]:
    """Return what raw flags mount, where it matters whether that is a socket."""
    raw: tuple[str, ...] = settings[EXTRA_DOCKER] if settings[START_FIRST] else ()
    return tuple(path for path in read_only_sources(raw) if path.startswith("/"))


def _own_names(service: str, settings: Settings, host_name: str) -> tuple[str, ...]:
    """Return the names under which DNS may know the service: its hostname, in production too, then its own."""
    hostname = (settings[HOSTNAME] or settings[NAME]).replace("HOSTNAME", host_name)
    return tuple(dict.fromkeys((hostname, service)))


def plan_launch(service: str, settings: Settings, facts: Facts, options: LaunchOptions) -> LaunchPlan:
    """Plan the launch of one instance of a service.

    Raises NoSuchNameError if no image is found, DockyardError if the name is taken or the network is not there,
    SettingsError for mount sources that are missing.
    """
    reference, image = _image(settings, facts)
    name = _free_for_services(container_name(settings))
    places = places_of(settings, service, test_data=options.test_data)
    user = "0" if options.shell else settings[USER] or image.user
    mounts = mount_part(settings, places, facts, settings[USER] or image.user, options.directory)
    _refuse_area_in_use(mounts.area, name, facts.siblings)
    if settings.mode.isolated:
        _refuse_restarts(mounts, (*_restart(settings, options), *settings[EXTRA_DOCKER]))
    parts = (
        network_part(settings, facts, _own_names(service, settings, facts.host.name)),
        ports_part(settings),
        _devices(settings, facts),
    )
    environment, secrets = _environment(settings, facts, options)
    foreground = settings[FOREGROUND] or options.shell
    flags = (
        "run",
        *_attachment(foreground, options),
        "--name",
        name,
        *_hostname(settings, facts, name),
        *_labels(service, settings, secrets, options),
        *_label_flags({SHARED_LABEL: json.dumps(mounts.permitted)} if mounts.permitted else {}),
        *(word for part in parts for word in part.argv),
        *environment,
        *(word for bind in mounts.binds for word in bind.argv()),
        *_log(settings[LOG], facts.dialect, name),
        *_plain_flags(settings, options),
        *_restart(settings, options),
        *_user(settings, options),
        *settings[EXTRA_DOCKER],
        *_stays_when_it_ends(settings, options),
    )
    argv = (*flags, *_image_and_command(settings, image.id if reference == settings[TAG] else reference, options))
    return LaunchPlan(
        service=service,
        settings=settings,
        name=name,
        image=reference,
        image_id=image.id,
        foreground=foreground,
        steps=(*_clear_name(service, settings, facts.container, options), *mounts.steps, Command(argv, secrets)),
        notes=_notes(parts, mounts),
        area=mounts.area,
        secrets=secrets,
        copies=mounts.copies,
        unfit=unfit(service, settings, facts, mounts.accesses, Started(user, flags)),
        lacks=lacks(facts, Started(user, flags)),
        shared=mounts.shared,
        nested=nested(mounts.binds),
        alone=_alone(settings, facts, flags),
        permitted=mounts.permitted,
        flags=flags,
    )


def _alone(settings: Settings, facts: Facts, flags: tuple[str, ...]) -> tuple[str, ...]:
    if settings.mode.isolated or not settings[START_FIRST]:
        return ()
    return obstacles(flags, {path for path, fact in facts.paths.items() if fact.kind == "other"})


def _refuse_area_in_use(area: EmptyTestArea | None, name: str, siblings: tuple[Container, ...]) -> None:
    """Raise DockyardError if another instance has its data in the test area, which is emptied at each launch."""
    for other in siblings:
        if area and other.name != name and any(is_within(source, area.path) for source in other.mounts.values()):
            raise DockyardError(f"container `{other.name}` is up and uses {area.path}", hint=f"d down {other.name}")


def _refuse_restarts(mounts: MountPart, argv: tuple[str, ...]) -> None:
    """Raise DockyardError if the engine would restart an instance, and follow symlinks that the instance created."""
    for inner, outer in nested(mounts.binds):
        if set(flag_values(argv, "restart")) - {"no"}:
            message = f"the engine must not restart a test instance: a symlink in `{outer}` could redirect `{inner}`"
            raise DockyardError(message, hint="remove the restart policy, or one of the two mounts")


def _notes(parts: tuple[Part, ...], mounts: MountPart) -> tuple[str, ...]:
    return (*(note for part in parts for note in part.notes), *mounts.notes)


def _image(settings: Settings, facts: Facts) -> tuple[str, Image]:
    candidates = image_candidates(settings)
    for reference in candidates:
        if reference in facts.images:
            return reference, facts.images[reference]
    raise NoSuchNameError(
        f"image not found: {', '.join(candidates)}",
        hint="build it with d-build, or name another image with --image",
    )


def _clear_name(service: str, settings: Settings, there: Container | None, options: LaunchOptions) -> Iterator[Command]:
    """Yield what removes a stopped container of the instance's name; raises DockyardError where it must not go."""
    if not there:
        return
    if there.is_up:
        raise DockyardError(
            f"container `{there.name}` is up",
            hint=f"stop it with `d down {there.name}`, or replace it with `d restart`",
        )
    if options.fail_on_exists:
        raise DockyardError(
            f"container `{there.name}` exists, {there.status}", hint="remove --fail-on-exists to replace it"
        )
    if not may_replace(there, service, settings.mode):
        whose = f"service `{there.service}`, {there.mode}" if there.service else "no service"
        raise DockyardError(
            f"container `{there.name}` belongs to {whose}", hint="set another `name`, or rename the other container"
        )
    yield Command(("rm", there.id))


def may_replace(there: Container, service: str, mode: Mode) -> bool:
    """Return whether a container may be removed for a new instance: its own kind, or one without an owner."""
    if mode.isolated:
        return there.service == service and there.mode in {Mode.DEV.value, Mode.TEST.value}
    return not there.service or (there.service == service and there.mode not in {Mode.DEV.value, Mode.TEST.value})


def _attachment(foreground: bool, options: LaunchOptions) -> tuple[str, ...]:
    if not foreground:
        return ("--detach",)
    # A shell reads its commands from wherever they come; anything else has no use for a pipe.
    interactive = ("--interactive",) if options.terminal or options.shell else ()
    return (*interactive, "--tty") if options.terminal else interactive


def _hostname(settings: Settings, facts: Facts, name: str) -> tuple[str, ...]:
    if settings[NETWORK].startswith("container:"):
        return ()  # such an instance has the other one's
    wanted = settings[HOSTNAME]
    if wanted is None and settings.value(HOSTNAME).source == "default":
        wanted = name
    return ("--hostname", wanted.replace("HOSTNAME", facts.host.name)) if wanted else ()


def _labels(service: str, settings: Settings, secrets: tuple[Secret, ...], options: LaunchOptions) -> Iterator[str]:
    labels = {
        SERVICE_LABEL: service,
        DIRECTORY_LABEL: options.directory,
        MODE_LABEL: settings.mode.value,
        SECRETS_LABEL: ",".join(secret.variable for secret in secrets),
        RUN_LABEL: options.run if settings.mode.isolated else "",  # what has it is removed after its run
    }
    yield from _label_flags({label: value for label, value in labels.items() if value})


def _environment(settings: Settings, facts: Facts, options: LaunchOptions) -> tuple[list[str], tuple[Secret, ...]]:
    """Return `--env` flags and the secrets whose values reach the engine through its own environment."""
    argv: list[str] = []
    secrets: list[Secret] = []
    for variable in _variables(settings, facts):
        if variable.secret:
            secrets.append(_secret(variable, settings, options))
            argv += ("--env", variable.name)
        else:
            argv += ("--env", f"{variable.name}={variable.value}")
    return argv, tuple(secrets)


def _secret(variable: Variable, settings: Settings, options: LaunchOptions) -> Secret:
    if not variable.secret.startswith("setting:"):
        return Secret(variable.name, variable.secret)
    file = ("--settings", options.file) if options.file else ()
    return Secret(variable.name, variable.secret, options.directory, (*MODE_FLAGS[settings.mode], *file))


def _variables(settings: Settings, facts: Facts) -> Iterator[Variable]:
    given = settings[ENV]
    names = {variable.name for variable in given}
    zone = facts.host.zone if settings[TZ] == "auto" else settings[TZ]
    if zone and "TZ" not in names:
        yield Variable("TZ", zone)
    if settings[PUID] and "PUID" not in names:
        yield Variable(
            "PUID", "", secret=f"puid:{container_name(settings)}" if settings[PUID] == "auto" else "setting:puid"
        )
    for variable in given:
        yield variable._replace(secret=f"secret:{variable.secret}") if variable.secret else variable


def _devices(settings: Settings, facts: Facts) -> Part:
    found: list[str] = []
    notes: list[str] = []
    for device in settings[MOUNT_DEVICES]:
        matches = facts.matches.get(device, ()) if has_glob(device) else (device,)
        found += matches
        notes += [] if matches else [f"mount_devices: nothing matches `{device}`"]
    return Part(tuple(word for device in found for word in ("--device", device)), tuple(notes))


def _log(log: LogDriver | None, dialect: Dialect, name: str) -> tuple[str, ...]:
    if not log:
        return ()
    if log.name not in dialect.logs:
        if log.name in {"none", "syslog", "json", "journald", "passthrough"}:
            raise DockyardError(
                f"{dialect.name} has no log driver `{log.name}`", hint="use `log: journald`, the closest one"
            )
        return ("--log-driver", log.name)
    argv = tuple(word.replace("{name}", name) for word in dialect.logs[log.name])
    return (*argv, "--log-opt", f"syslog-address={log.address}") if log.address else argv


def _plain_flags(settings: Settings, options: LaunchOptions) -> Iterator[str]:
    """Yield the flags of all keys that are nothing more than that; a shell is removed when it ends."""
    for key in KEYS.values():
        if key.emit and settings[key] is not None:
            yield from key.emit(settings[key])
    if options.shell and not settings[RM]:
        yield "--rm"


def _restart(settings: Settings, options: LaunchOptions) -> tuple[str, ...]:
    """Return the restart policy. Under test it would hide a service that does not stay up."""
    policy = settings.value(RESTART)
    hides_failure = settings.mode.isolated and not policy.for_this_mode
    if not policy.value or settings[RM] or options.shell or hides_failure or _is_tested(settings, options):
        return ()
    return ("--restart", policy.value)


def _is_tested(settings: Settings, options: LaunchOptions) -> bool:
    """Return whether a Test has it launched in the background: its log and its exit code are read after its end."""
    return settings.mode.isolated and bool(options.run) and not (settings[FOREGROUND] or options.shell)


def _stays_when_it_ends(settings: Settings, options: LaunchOptions) -> Iterator[str]:
    """Yield flags that overrule raw ones by which the engine would restart or remove a tested instance."""
    if _is_tested(settings, options):
        raw: tuple[str, ...] = settings[EXTRA_DOCKER]
        if set(flag_values(raw, "restart")) - {"no"}:
            yield "--restart=no"
        if is_set(raw, "rm"):
            yield "--rm=false"


def _user(settings: Settings, options: LaunchOptions) -> tuple[str, ...]:
    user = "0" if options.shell else settings[USER]
    return ("--user", user) if user else ()


def _image_and_command(settings: Settings, image: str, options: LaunchOptions) -> tuple[str, ...]:
    if options.shell:
        return ("--entrypoint", "sh", image, *SHELL)
    alternative = settings[DEBUG_ALT_CMND] if settings.mode.isolated else ()
    entrypoint = ("--entrypoint", alternative[0]) if alternative else ()
    return (*entrypoint, image, *alternative[1:], *settings[CMD], *_extra_init(settings))


def _extra_init(settings: Settings) -> tuple[str, ...]:
    """Return extra_init; in dev and test debug_extra_init, unless a key or flag of the mode itself says otherwise."""
    value = settings.value(EXTRA_INIT)
    if settings.mode.isolated and settings[DEBUG_EXTRA_INIT] and not value.for_this_mode:
        return settings[DEBUG_EXTRA_INIT]
    return value.value
