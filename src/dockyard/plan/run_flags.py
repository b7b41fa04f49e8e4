"""The flags of `run` and `create`, of docker up to 29 and podman up to 6: which take a value, and their other names.

tests/engines/test_flags.py compares this with what the engine here lists in its help.
"""

_SWITCHES = """
    detach disable-content-trust env-host help http-proxy init interactive no-healthcheck no-hostname no-hosts
    oom-kill-disable passwd privileged publish-all quiet read-only read-only-tmpfs replace rm rmi rootfs sig-proxy
    tls-verify tty unsetenv-all use-api-socket
"""
SWITCHES = frozenset(_SWITCHES.split())
"""Flags that take no value, unless it follows a `=`."""

_VALUED = """
    add-host annotation arch attach authfile blkio-weight blkio-weight-device cap-add cap-drop cert-dir cgroup-conf
    cgroup-parent cgroupns cgroups chrootdirs cidfile conmon-pidfile cpu-count cpu-percent cpu-period cpu-quota
    cpu-rt-period cpu-rt-runtime cpu-shares cpus cpuset-cpus cpuset-mems creds decryption-key detach-keys device
    device-cgroup-rule device-read-bps device-read-iops device-write-bps device-write-iops dns dns-option dns-search
    domainname entrypoint env env-file env-merge expose gidmap gpus group-add group-entry health-cmd health-interval
    health-log-destination health-max-log-count health-max-log-size health-on-failure health-retries
    health-start-interval health-start-period health-startup-cmd health-startup-interval health-startup-retries
    health-startup-success health-startup-timeout health-timeout hostname hosts-file hostuser image-volume init-ctr
    init-path io-maxbandwidth io-maxiops ip ip6 ipc isolation kernel-memory label label-file link link-local-ip
    log-driver log-opt mac-address memory memory-reservation memory-swap memory-swappiness mount name network
    network-alias oom-score-adj os passwd-entry personality pid pidfile pids-limit platform pod pod-id-file
    preserve-fd preserve-fds publish pull rdt-class requires restart retry retry-delay runtime sdnotify
    seccomp-policy secret security-opt shm-size shm-size-systemd stop-signal stop-timeout storage-opt subgidname
    subuidname sysctl systemd timeout tmpfs tz uidmap ulimit umask unsetenv user userns uts variant volume
    volume-driver volumes-from workdir
"""
VALUED = frozenset(_VALUED.split())
"""Flags whose value is the next word where no `=` follows, whatever that word begins with."""

SHORT = {
    "a": "attach",
    "c": "cpu-shares",
    "d": "detach",
    "e": "env",
    "h": "hostname",
    "i": "interactive",
    "l": "label",
    "m": "memory",
    "p": "publish",
    "P": "publish-all",
    "q": "quiet",
    "t": "tty",
    "u": "user",
    "v": "volume",
    "w": "workdir",
}
"""Long names by letter."""

OTHER_NAMES = {"dns-opt": "dns-option", "net": "network", "net-alias": "network-alias"}
"""The name that the engine's help lists, by one that it takes as well."""
