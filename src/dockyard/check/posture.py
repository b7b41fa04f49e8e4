"""Checks of what a container may do, by its launch flags: raw flags count as much as settings."""

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
"""The capabilities that docker gives by default."""
_POWERFUL = {
    *("ALL", "BPF", "DAC_READ_SEARCH", "MAC_ADMIN", "NET_ADMIN", "PERFMON", "SYS_ADMIN", "SYS_BOOT", "SYS_MODULE"),
    *("SYS_PTRACE", "SYS_RAWIO", "SYS_TIME"),
}
"""Capabilities that give access to the host or its network."""
_DATABASES = frozenset({1433, 2375, 2379, 3306, 5432, 5984, 6379, 8086, 9042, 9200, 11211, 27017})
_SSH = 22
_RAW_DEVICE = re.compile(r"/dev/(mem|kmem|port|sd[a-z]+\d*|vd[a-z]+\d*|xvd[a-z]+\d*|nvme\d.*|dm-\d+|mapper/.*|loop.*)")


@check("privileged", Severity.ERROR, "A privileged container", cis="5.5")
def privileged(subject: Subject) -> Iterator[Found]:
    """It has every capability and every device of the host: an attacker who breaks in is root on the host."""
    if is_set(subject.flags, "privileged"):
        where = subject.said(EXTRA_DOCKER)
        yield Found("the container is privileged", where, write="cap_add and mount_devices, with only what it needs")


@check("capabilities-added", Severity.WARNING, "Capabilities beyond the engine's defaults", cis="5.4")
def capabilities_added(subject: Subject) -> Iterator[Found]:
    """A capability that the engine does not give by default lets a process inside act on the host as root can."""
    for name in sorted(_capabilities(subject, "cap-add") - _DEFAULT):
        severity = Severity.ERROR if name in _POWERFUL else None
        message = f"the container has the additional capability {name}"
        yield Found(
            message,
            subject.said(CAP_ADD, "cap-add"),
            hint="remove it if the service works without it",
            severity=severity,
        )


@check("capabilities-kept", Severity.NOTE, "No default capability is dropped", cis="5.4")
def capabilities_kept(subject: Subject) -> Iterator[Found]:
    """Root in a container has fourteen capabilities by default; hardly any service needs more than two."""
    if subject.flags and not _capabilities(subject, "cap-drop") and not is_set(subject.flags, "privileged"):
        by_root = subject.user is not None and subject.user.is_root
        severity = Severity.WARNING if by_root else Severity.NOTE
        add = f", with `{ADDED}` if its start as root needs them" if by_root else ""
        write = f"{CAP_DROP.name}: ALL{add}"
        yield Found("the container keeps all of the engine's default capabilities", write=write, severity=severity)


@check("root-user", Severity.WARNING, "A service that runs as root", cis="4.1")
def root_user(subject: Subject) -> Iterator[Found | Unknown]:
    """Root inside is root on the host for everything mounted, and for every kernel vulnerability."""
    if not subject.flags:
        return
    user = subject.user
    if not user:
        yield Unknown("whether it runs as root: its user is not set here, and its image does not exist")
    elif user.is_root and not _is_mapped(subject):
        bare = ALL in _capabilities(subject, "cap-drop") and not _capabilities(subject, "cap-add")
        severity = Severity.NOTE if bare and _gains_nothing(subject) else None
        write = "USER name, after the last RUN" if subject.dockerfile else "user: name"
        keeps_data = any(claim.kind is Kind.PATH and claim.writable for claim in claims_of(subject.flags))
        write += ", the user who owns its data" if keeps_data else ""
        yield Found("the service runs as root", user.where, write=write, severity=severity)


def _is_mapped(subject: Subject) -> bool:
    """Return whether root inside is unprivileged on the host: the engine maps users, also for this container."""
    return bool(subject.fleet.answers.ids.uids) and "host" not in subject.values("userns")


@check("gains-privileges", Severity.WARNING, "Programs inside can gain privileges", cis="5.26")
def gains_privileges(subject: Subject) -> Iterator[Found]:
    """With a setuid program in the image, any attacker who breaks in becomes root."""
    if subject.flags and not _gains_nothing(subject):
        yield Found("programs inside can gain privileges", write=f"{NO_NEW_PRIVILEGES.name}: true")


def _gains_nothing(subject: Subject) -> bool:
    words = [word for word in _security(subject) if word.startswith("no-new-privileges")]
    return bool(words) and not words[-1].endswith("false")


@check("unconfined-seccomp", Severity.ERROR, "No seccomp profile", cis="5.22")
def unconfined_seccomp(subject: Subject) -> Iterator[Found]:
    """All system calls are allowed, including the rarely tested ones where most kernel vulnerabilities are."""
    yield from _security_off(subject, "seccomp", "the container has no seccomp profile")


@check("unconfined-apparmor", Severity.ERROR, "No AppArmor profile", cis="5.2")
def unconfined_apparmor(subject: Subject) -> Iterator[Found]:
    """The protection of /proc/sys and mounts against containers is off."""
    yield from _security_off(subject, "apparmor", "the container has no AppArmor profile")


@check("unconfined-selinux", Severity.WARNING, "No SELinux label", cis="5.3")
def unconfined_selinux(subject: Subject) -> Iterator[Found]:
    """The protection of other containers' files and the host's files is off."""
    if {"label=disable", "label:disable"} & set(_security(subject)):
        yield Found("the container has no SELinux label", subject.said(EXTRA_DOCKER), hint="remove `label=disable`")


@check("unmasked-paths", Severity.ERROR, "Kernel files that are not masked")
def unmasked_paths(subject: Subject) -> Iterator[Found]:
    """Files in /proc and /sys that control the host are visible and writable."""
    if {"systempaths=unconfined", "unmask=ALL", "unmask=all"} & set(_security(subject)):
        yield Found("nothing in /proc and /sys is masked", subject.said(EXTRA_DOCKER), hint="remove the option")


def _security(subject: Subject) -> list[str]:
    return [value.strip().lower() if "=" not in value else value for value in subject.values("security-opt")]


def _security_off(subject: Subject, what: str, message: str) -> Iterator[Found]:
    if {f"{what}=unconfined", f"{what}:unconfined"} & set(_security(subject)):
        yield Found(message, subject.said(EXTRA_DOCKER), hint=f"remove `{what}=unconfined`, or write a profile")


# --------------------------------------------------------------------------------------- what it shares with the host
def _of_host(subject: Subject, what: str, key: Key[str] | None, *flags: str) -> Iterator[Found]:
    if any("host" in subject.values(flag) for flag in flags):
        where = subject.said(key or EXTRA_DOCKER, *flags)
        yield Found(f"the container shares the host's {what}", where, hint="remove the option")


@check("host-network", Severity.ERROR, "A container in the host's network", cis="5.10")
def host_network(subject: Subject) -> Iterator[Found]:
    """Services that listen only on the host's loopback, to be unreachable for others, are reachable from inside."""
    yield from _of_host(subject, "network", NETWORK, "network", "net")


@check("host-processes", Severity.ERROR, "A container that shares the host's processes", cis="5.16")
def host_processes(subject: Subject) -> Iterator[Found]:
    """All processes of the host are visible with their environment, and root inside can kill them."""
    yield from _of_host(subject, "processes", None, "pid")


@check("host-ipc", Severity.ERROR, "A container that shares the host's shared memory", cis="5.17")
def host_ipc(subject: Subject) -> Iterator[Found]:
    """A process inside can read and change the shared memory of the host's programs."""
    yield from _of_host(subject, "shared memory", None, "ipc")


@check("host-uts", Severity.WARNING, "A container that shares the host's hostname", cis="5.21")
def host_uts(subject: Subject) -> Iterator[Found]:
    """Root inside can rename the host."""
    yield from _of_host(subject, "hostname", None, "uts")


@check("host-users", Severity.ERROR, "A container that shares the host's user namespace", cis="5.31")
def host_users(subject: Subject) -> Iterator[Found]:
    """Root inside is root on the host, even if the engine maps users for all other containers."""
    yield from _of_host(subject, "user namespace", None, "userns")


@check("devices", Severity.WARNING, "A device of the host in a container", cis="5.18")
def devices(subject: Subject) -> Iterator[Found]:
    """An attacker who breaks in has the device too; a disk or the memory gives access to the whole host."""
    for claim in claims_of(subject.flags):
        if claim.kind is Kind.DEVICE and not FOR_EVERYBODY.fullmatch(claim.value):
            severity = Severity.ERROR if _RAW_DEVICE.fullmatch(claim.value) else None
            where = subject.said(MOUNT_DEVICES, "device")
            hint = "remove it if the service works without it"
            yield Found(f"the container has the device `{claim.value}`", where, hint=hint, severity=severity)


# ------------------------------------------------------------------------------------------------------------ limits
@check("no-memory-limit", Severity.WARNING, "No memory limit", cis="5.11", concern=Concern.SERVICE)
def no_memory_limit(subject: Subject) -> Iterator[Found]:
    """If it leaks memory or gets too much input, the kernel kills processes all over the host to free memory."""
    if subject.flags and all(value.strip("bkmgBKMG") in {"", "0"} for value in subject.values("memory")):
        write = "memory: SIZE, at least twice what it uses under load; with less, the kernel kills it"
        yield Found("the container has no memory limit", write=write)


@check("no-process-limit", Severity.WARNING, "No process limit", cis="5.29", concern=Concern.SERVICE)
def no_process_limit(subject: Subject) -> Iterator[Found]:
    """A container that keeps starting processes uses up those of the host: even logging in becomes impossible."""
    said = subject.values("pids-limit")
    is_limited = said[-1] not in {"-1", "0"} if said else subject.fleet.answers.dialect.limits_processes
    if subject.flags and not is_limited:
        where = subject.said(PIDS_LIMIT, "pids-limit")
        write = f"{PIDS_LIMIT.name}: NUMBER, several times the processes and threads that it has under load"
        yield Found("the container has no limit on processes", where, write=write)


@check("no-health-check", Severity.WARNING, "No health check", cis="5.27", concern=Concern.SERVICE)
def no_health_check(subject: Subject) -> Iterator[Found]:
    """A service that is up but does not respond counts as working: such an upgrade is not rolled back."""
    if not subject.flags or not subject.settings:
        return
    serves = bool(subject.settings[PORTS] or subject.settings[AUTOSTART])
    if has_health_check(subject):
        return
    if is_set(subject.flags, "no-healthcheck"):
        if serves:
            where = subject.said(HEALTHCHECK, "no-healthcheck")
            yield Found("the service's health check is switched off", where, severity=Severity.NOTE)
        return
    severity = Severity.WARNING if serves else Severity.NOTE
    yield Found("the service has no health check", write="healthcheck: {cmd: …, interval: 10s}", severity=severity)


def has_health_check(subject: Subject) -> bool:
    """Return whether production has a health check, by its settings or its image."""
    said = subject.settings[HEALTHCHECK] if subject.settings else None
    return bool(subject.values("health-cmd")) or (not said and _image_is_checked(subject))


def _image_is_checked(subject: Subject) -> bool:
    """Return whether an image has a health check, of its own or from its base."""
    dockerfile = subject.dockerfile
    if not dockerfile:
        return bool(subject.image and subject.image.is_checked)
    if said := dockerfile.last("HEALTHCHECK"):
        return said.value.strip().upper() != "NONE"
    maker = subject.fleet.maker(dockerfile.base)
    base = subject.fleet.answers.images.get(dockerfile.base)
    return _image_is_checked(maker) if maker and maker != subject else bool(base and base.is_checked)


@check("writable-root", Severity.NOTE, "A container that can change its image's files", cis="5.13")
def writable_root(subject: Subject) -> Iterator[Found]:
    """An attacker who breaks in can plant programs that run at the next start."""
    if subject.flags and not is_set(subject.flags, "read-only"):
        yield Found(
            "the container can change the files of its image", write="read_only: true, with `tmpfs` for what it writes"
        )


# ---------------------------------------------------------------------------------------------------------- the network
@check("ports-everywhere", Severity.NOTE, "Ports on all addresses of the host", cis="5.14")
def ports_everywhere(subject: Subject) -> Iterator[Found]:
    """Anyone who can reach the host on any of its networks can reach the service."""
    for claim in claims_of(subject.flags):
        port = published(claim.value) if claim.kind is Kind.PORT else None
        if port and port.ip in ANY_ADDRESS:
            inside = claim.value.partition("/")[0].rpartition(":")[2]
            is_database = inside.isdigit() and int(inside) in _DATABASES
            message = f"port `{claim.value}` is published on all addresses of this host"
            write = f"127.0.0.1:{_pair(claim.value)}, unless other machines use it"
            found = Found(message, subject.said(PORTS, "publish", "p"), write=write)
            yield found._replace(severity=Severity.WARNING) if is_database else found


def _pair(text: str) -> str:
    """Return `host:container` of a port."""
    return ":".join(text.rpartition("]")[2].split(":")[-2:])


@check("network-unprotected", Severity.WARNING, "A network that leaves all ports open")
def network_unprotected(subject: Subject) -> Iterator[Found]:
    """Other machines in the host's network can reach every port of the container, published or not."""
    for name in subject.values("network"):
        found = subject.fleet.answers.networks.get(name)
        if found and found.is_unprotected:
            message = f"the network `{name}` has gateway_mode nat-unprotected"
            yield Found(message, subject.said(NETWORK), hint="use another network, and publish ports with `ports`")


@check("ssh-server", Severity.WARNING, "An SSH server inside", cis="5.7")
def ssh_server(subject: Subject) -> Iterator[Found]:
    """It is one more entry point with its own keys and passwords to manage; `d enter` needs none."""
    for claim in claims_of(subject.flags):
        if claim.kind is Kind.PORT and claim.value.partition("/")[0].endswith(f":{_SSH}"):
            yield Found(f"port `{claim.value}` publishes SSH", subject.said(PORTS, "publish", "p"), hint="d enter")
    dockerfile = subject.dockerfile
    for one in dockerfile.instructions if dockerfile else ():
        runs = one.name in {"CMD", "ENTRYPOINT"} and re.search(r"\bsshd\b", one.value)
        exposes = one.name == "EXPOSE" and re.search(r"(^|\s)22(/tcp)?(\s|$)", one.value)
        if dockerfile and (runs or exposes):
            yield Found(
                "the image runs sshd" if runs else "the image exposes port 22", dockerfile.at(one), hint="d enter"
            )


# -------------------------------------------------------------------------------------------------------------- secrets
@check("secret-in-settings", Severity.ERROR, "A secret in the settings")
def secret_in_settings(subject: Subject) -> Iterator[Found]:
    """Anyone who reads the source, the process list or `inspect` has it, and it stays in the source's history."""
    for variable in subject.values("env"):
        name, _, value = variable.partition("=")
        if is_secret(name, value):
            where = subject.said(ENV, "env")
            yield Found(f"`{name}` contains a secret in plain text", where, write=f'env: [{name}: "*{name.lower()}"]')


@check("secret-in-command", Severity.WARNING, "A secret in a command line")
def secret_in_command(subject: Subject) -> Iterator[Found]:
    """Every user of the host can read the arguments of a process."""
    for key in (CMD, EXTRA_INIT):
        for flag in secret_flags(subject.settings[key]) if subject.settings else ():
            yield Found(
                f"`{flag}` contains a secret", subject.said(key), hint="have the program read a file or a variable"
            )


def _capabilities(subject: Subject, flag: str) -> set[str]:
    every = (name for value in subject.values(flag) for name in value.split(","))
    return {name.strip().upper().removeprefix("CAP_") for name in every}
