"""Checks of what a container may do, by what the engine is told: raw flags count like settings."""

import re
from collections.abc import Iterator

from dockyard.check.point import Concern, Found, Severity, Unknown
from dockyard.check.registry import check
from dockyard.check.secrets import is_secret, secret_flags
from dockyard.check.subject import Subject
from dockyard.plan.capabilities import ADDED
from dockyard.plan.flags import is_set
from dockyard.plan.isolation import ANY_ADDRESS, FOR_EVERYBODY, Kind, claims_of, published
from dockyard.settings.key import Key
from dockyard.settings.keys import (
    AUTOSTART,
    CAP_ADD,
    CAP_DROP,
    CMD,
    ENV,
    EXTRA_DOCKER,
    EXTRA_INIT,
    HEALTHCHECK,
    MOUNT_DEVICES,
    NETWORK,
    NO_NEW_PRIVILEGES,
    PIDS_LIMIT,
    PORTS,
)

ALL = "ALL"
_DEFAULT = {
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW"),
    *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
}
"""The capabilities that docker gives to whom nobody gives others."""
_POWERFUL = {
    *("ALL", "BPF", "DAC_READ_SEARCH", "MAC_ADMIN", "NET_ADMIN", "PERFMON", "SYS_ADMIN", "SYS_BOOT", "SYS_MODULE"),
    *("SYS_PTRACE", "SYS_RAWIO", "SYS_TIME"),
}
"""Those with which the host is in reach, or its network."""
_DATABASES = frozenset({1433, 2375, 2379, 3306, 5432, 5984, 6379, 8086, 9042, 9200, 11211, 27017})
_SSH = 22
_RAW_DEVICE = re.compile(r"/dev/(mem|kmem|port|sd[a-z]+\d*|vd[a-z]+\d*|xvd[a-z]+\d*|nvme\d.*|dm-\d+|mapper/.*|loop.*)")


@check("privileged", Severity.ERROR, "A privileged container", cis="5.5")
def privileged(subject: Subject) -> Iterator[Found]:
    """It has every capability and every device of the host: whoever breaks into it is the host's root."""
    if is_set(subject.flags, "privileged"):
        where = subject.said(EXTRA_DOCKER)
        yield Found("it is privileged", where, write="cap_add and mount_devices, with what it really needs")


@check("capabilities-added", Severity.WARNING, "Capabilities beyond the engine's", cis="5.4")
def capabilities_added(subject: Subject) -> Iterator[Found]:
    """With a capability that containers do not have otherwise, what is inside can do to the host what root can."""
    for name in sorted(_capabilities(subject, "cap-add") - _DEFAULT):
        severity = Severity.ERROR if name in _POWERFUL else None
        message = f"it is given the capability {name}"
        yield Found(message, subject.said(CAP_ADD, "cap-add"), hint="do without, if it can", severity=severity)


@check("capabilities-kept", Severity.NOTE, "All of the engine's capabilities are kept", cis="5.4")
def capabilities_kept(subject: Subject) -> Iterator[Found]:
    """Root in a container has fourteen capabilities; hardly any service needs more than two of them."""
    if subject.flags and not _capabilities(subject, "cap-drop") and not is_set(subject.flags, "privileged"):
        by_root = subject.user is not None and subject.user.is_root
        severity = Severity.WARNING if by_root else Severity.NOTE
        add = f", with `{ADDED}` as far as its start as root needs them" if by_root else ""
        write = f"{CAP_DROP.name}: ALL{add}"
        yield Found("it keeps all capabilities that the engine gives", write=write, severity=severity)


@check("root-user", Severity.WARNING, "It runs as root", cis="4.1")
def root_user(subject: Subject) -> Iterator[Found | Unknown]:
    """Root inside is root of the host for all that is mounted, and for every hole in the kernel."""
    if not subject.flags:
        return
    user = subject.user
    if not user:
        yield Unknown("whether it runs as root: nothing here says so, and its image is not there")
    elif user.is_root and not _is_mapped(subject):
        bare = ALL in _capabilities(subject, "cap-drop") and not _capabilities(subject, "cap-add")
        severity = Severity.NOTE if bare and _gains_nothing(subject) else None
        write = "USER name, after the last RUN" if subject.dockerfile else "user: name"
        keeps_data = any(claim.kind is Kind.PATH and claim.writable for claim in claims_of(subject.flags))
        write += ", with the user that its data belong to" if keeps_data else ""
        yield Found("it runs as root", user.where, write=write, severity=severity)


def _is_mapped(subject: Subject) -> bool:
    """Return whether root inside is nobody on the host: the engine maps users, and this container is no exception."""
    return bool(subject.fleet.answers.ids.uids) and "host" not in subject.values("userns")


@check("gains-privileges", Severity.WARNING, "Programs inside can gain privileges", cis="5.26")
def gains_privileges(subject: Subject) -> Iterator[Found]:
    """A setuid program in the image makes root of any user that breaks in."""
    if subject.flags and not _gains_nothing(subject):
        yield Found("programs inside can gain privileges", write=f"{NO_NEW_PRIVILEGES.name}: true")


def _gains_nothing(subject: Subject) -> bool:
    words = [word for word in _security(subject) if word.startswith("no-new-privileges")]
    return bool(words) and not words[-1].endswith("false")


@check("unconfined-seccomp", Severity.ERROR, "No seccomp profile", cis="5.22")
def unconfined_seccomp(subject: Subject) -> Iterator[Found]:
    """Every system call of the kernel can be made, the rarely tested ones too, in which its holes are."""
    yield from _security_off(subject, "seccomp", "it has no seccomp profile")


@check("unconfined-apparmor", Severity.ERROR, "No AppArmor profile", cis="5.2")
def unconfined_apparmor(subject: Subject) -> Iterator[Found]:
    """What keeps containers from /proc/sys and mounts is switched off."""
    yield from _security_off(subject, "apparmor", "it has no AppArmor profile")


@check("unconfined-selinux", Severity.WARNING, "No SELinux label", cis="5.3")
def unconfined_selinux(subject: Subject) -> Iterator[Found]:
    """What keeps containers from each other's files, and the host's, is switched off."""
    if {"label=disable", "label:disable"} & set(_security(subject)):
        yield Found("it has no SELinux label", subject.said(EXTRA_DOCKER), hint="leave `label=disable` out")


@check("unmasked-paths", Severity.ERROR, "The kernel's own files are not masked")
def unmasked_paths(subject: Subject) -> Iterator[Found]:
    """Files in /proc and /sys with which the host can be steered are there, and can be written to."""
    if {"systempaths=unconfined", "unmask=ALL", "unmask=all"} & set(_security(subject)):
        yield Found("nothing in /proc and /sys is masked", subject.said(EXTRA_DOCKER), hint="leave it out")


def _security(subject: Subject) -> list[str]:
    return [value.strip().lower() if "=" not in value else value for value in subject.values("security-opt")]


def _security_off(subject: Subject, what: str, message: str) -> Iterator[Found]:
    if {f"{what}=unconfined", f"{what}:unconfined"} & set(_security(subject)):
        yield Found(message, subject.said(EXTRA_DOCKER), hint=f"leave `{what}=unconfined` out, or write a profile")


# --------------------------------------------------------------------------------------- what it shares with the host
def _of_host(subject: Subject, what: str, key: Key[str] | None, *flags: str) -> Iterator[Found]:
    if any("host" in subject.values(flag) for flag in flags):
        where = subject.said(key or EXTRA_DOCKER, *flags)
        yield Found(f"it has the host's {what}", where, hint="leave it out")


@check("host-network", Severity.ERROR, "The host's network", cis="5.10")
def host_network(subject: Subject) -> Iterator[Found]:
    """What listens on the host's loopback alone, because nobody else is to reach it, is reached from inside."""
    yield from _of_host(subject, "network", NETWORK, "network", "net")


@check("host-processes", Severity.ERROR, "The host's processes", cis="5.16")
def host_processes(subject: Subject) -> Iterator[Found]:
    """All processes of the host can be seen, with their environment, and root inside can end them."""
    yield from _of_host(subject, "processes", None, "pid")


@check("host-ipc", Severity.ERROR, "The host's shared memory", cis="5.17")
def host_ipc(subject: Subject) -> Iterator[Found]:
    """Shared memory of the host's programs can be read and changed."""
    yield from _of_host(subject, "shared memory", None, "ipc")


@check("host-uts", Severity.WARNING, "The host's own name", cis="5.21")
def host_uts(subject: Subject) -> Iterator[Found]:
    """Root inside can rename the host."""
    yield from _of_host(subject, "name", None, "uts")


@check("host-users", Severity.ERROR, "The host's users", cis="5.31")
def host_users(subject: Subject) -> Iterator[Found]:
    """Root inside is root of the host, even where the engine maps users for all other containers."""
    yield from _of_host(subject, "users", None, "userns")


@check("devices", Severity.WARNING, "Devices of the host", cis="5.18")
def devices(subject: Subject) -> Iterator[Found]:
    """Who breaks in has the device too; with a disk or the memory, that is the whole host."""
    for claim in claims_of(subject.flags):
        if claim.kind is Kind.DEVICE and not FOR_EVERYBODY.fullmatch(claim.value):
            severity = Severity.ERROR if _RAW_DEVICE.fullmatch(claim.value) else None
            where = subject.said(MOUNT_DEVICES, "device")
            yield Found(f"it has the device `{claim.value}`", where, hint="do without, if it can", severity=severity)


# ------------------------------------------------------------------------------------------------------------ limits
@check("no-memory-limit", Severity.WARNING, "No memory limit", cis="5.11", concern=Concern.SERVICE)
def no_memory_limit(subject: Subject) -> Iterator[Found]:
    """If it leaks, or is fed too much, the kernel ends processes all over the host until there is room."""
    if subject.flags and all(value.strip("bkmgBKMG") in {"", "0"} for value in subject.values("memory")):
        write = "memory: SIZE, at least twice what it takes under load: with less, the kernel kills it"
        yield Found("nothing limits the memory that it takes", write=write)


@check("no-process-limit", Severity.WARNING, "No limit of processes", cis="5.29", concern=Concern.SERVICE)
def no_process_limit(subject: Subject) -> Iterator[Found]:
    """One that starts processes without end leaves no room for the host's own, so that nobody can even log in."""
    said = subject.values("pids-limit")
    is_limited = said[-1] not in {"-1", "0"} if said else subject.fleet.answers.dialect.limits_processes
    if subject.flags and not is_limited:
        where = subject.said(PIDS_LIMIT, "pids-limit")
        write = f"{PIDS_LIMIT.name}: NUMBER, several times as many as it has under load, threads included"
        yield Found("nothing limits how many processes it starts", where, write=write)


@check("no-health-check", Severity.WARNING, "No health check", cis="5.27", concern=Concern.SERVICE)
def no_health_check(subject: Subject) -> Iterator[Found]:
    """A service that is up and answers nobody counts as well: an upgrade to such a version is not taken back."""
    if not subject.flags or not subject.settings:
        return
    serves = bool(subject.settings[PORTS] or subject.settings[AUTOSTART])
    if has_health_check(subject):
        return
    if is_set(subject.flags, "no-healthcheck"):
        if serves:
            where = subject.said(HEALTHCHECK, "no-healthcheck")
            yield Found("its health is not to be checked", where, severity=Severity.NOTE)
        return
    severity = Severity.WARNING if serves else Severity.NOTE
    yield Found("nothing checks its health", write="healthcheck: {cmd: …, interval: 10s}", severity=severity)


def has_health_check(subject: Subject) -> bool:
    """Return whether anything checks the health of production: its settings, or its image."""
    said = subject.settings[HEALTHCHECK] if subject.settings else None
    return bool(subject.values("health-cmd")) or (not said and _image_is_checked(subject))


def _image_is_checked(subject: Subject) -> bool:
    """Return whether an image says how health is checked, itself or what it is built on."""
    dockerfile = subject.dockerfile
    if not dockerfile:
        return bool(subject.image and subject.image.is_checked)
    if said := dockerfile.last("HEALTHCHECK"):
        return said.value.strip().upper() != "NONE"
    maker = subject.fleet.maker(dockerfile.base)
    base = subject.fleet.answers.images.get(dockerfile.base)
    return _image_is_checked(maker) if maker and maker != subject else bool(base and base.is_checked)


@check("writable-root", Severity.NOTE, "The image's files can be changed", cis="5.13")
def writable_root(subject: Subject) -> Iterator[Found]:
    """Who breaks in can leave programs behind that are run next time."""
    if subject.flags and not is_set(subject.flags, "read-only"):
        yield Found("the files of its image can be changed", write="read_only: true, with `tmpfs` for what it writes")


# ---------------------------------------------------------------------------------------------------------- the network
@check("ports-everywhere", Severity.NOTE, "Ports on all addresses of the host", cis="5.14")
def ports_everywhere(subject: Subject) -> Iterator[Found]:
    """Whoever reaches the host on any of its networks reaches the service."""
    for claim in claims_of(subject.flags):
        port = published(claim.value) if claim.kind is Kind.PORT else None
        if port and port.ip in ANY_ADDRESS:
            inside = claim.value.partition("/")[0].rpartition(":")[2]
            is_database = inside.isdigit() and int(inside) in _DATABASES
            message = f"`{claim.value}` is on all addresses of this host"
            write = f"127.0.0.1:{_pair(claim.value)}, unless other machines use it"
            found = Found(message, subject.said(PORTS, "publish", "p"), write=write)
            yield found._replace(severity=Severity.WARNING) if is_database else found


def _pair(text: str) -> str:
    """Return `host:container` of a port."""
    return ":".join(text.rpartition("]")[2].split(":")[-2:])


@check("network-unprotected", Severity.WARNING, "A network that leaves all ports open")
def network_unprotected(subject: Subject) -> Iterator[Found]:
    """Other machines of the host's network reach each port of the container, whether it is published or not."""
    for name in subject.values("network"):
        found = subject.fleet.answers.networks.get(name)
        if found and found.is_unprotected:
            message = f"the network `{name}` has gateway_mode nat-unprotected"
            yield Found(message, subject.said(NETWORK), hint="use another network, and publish the ports in `ports`")


@check("ssh-server", Severity.WARNING, "An SSH server inside", cis="5.7")
def ssh_server(subject: Subject) -> Iterator[Found]:
    """It is one more way in, with keys and passwords of its own to look after; `d enter` needs none."""
    for claim in claims_of(subject.flags):
        if claim.kind is Kind.PORT and claim.value.partition("/")[0].endswith(f":{_SSH}"):
            yield Found(f"`{claim.value}` publishes SSH", subject.said(PORTS, "publish", "p"), hint="d enter")
    dockerfile = subject.dockerfile
    for one in dockerfile.instructions if dockerfile else ():
        runs = one.name in {"CMD", "ENTRYPOINT"} and re.search(r"\bsshd\b", one.value)
        exposes = one.name == "EXPOSE" and re.search(r"(^|\s)22(/tcp)?(\s|$)", one.value)
        if dockerfile and (runs or exposes):
            yield Found("it runs sshd" if runs else "it exposes port 22", dockerfile.at(one), hint="d enter")


# -------------------------------------------------------------------------------------------------------------- secrets
@check("secret-in-settings", Severity.ERROR, "A secret in the settings")
def secret_in_settings(subject: Subject) -> Iterator[Found]:
    """Who reads the source, the process list or `inspect` has it, and it stays in the history of the source."""
    for variable in subject.values("env"):
        name, _, value = variable.partition("=")
        if is_secret(name, value):
            where = subject.said(ENV, "env")
            yield Found(f"`{name}` holds a secret as it is", where, write=f'env: [{name}: "*{name.lower()}"]')


@check("secret-in-command", Severity.WARNING, "A secret in a command line")
def secret_in_command(subject: Subject) -> Iterator[Found]:
    """Every user of the host can read the arguments of a process."""
    for key in (CMD, EXTRA_INIT):
        for flag in secret_flags(subject.settings[key]) if subject.settings else ():
            yield Found(f"`{flag}` is given a secret", subject.said(key), hint="have it read a file, or a variable")


def _capabilities(subject: Subject, flag: str) -> set[str]:
    every = (name for value in subject.values(flag) for name in value.split(","))
    return {name.strip().upper().removeprefix("CAP_") for name in every}
