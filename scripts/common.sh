# shellcheck shell=sh
# What the scripts in this directory share; they set `repository` before they read it.

: "${repository:?}"
# shellcheck disable=SC2034 # for those who read this file in
state=$repository/.state
PATH=$PATH:/usr/sbin:/sbin # where the daemons are, also for users whose PATH lacks it

say() {
    echo "dockyard: $1" >&2
}

# fail MESSAGE [HINT]
fail() {
    echo "error: $1" >&2
    [ -z "${2:-}" ] || echo "  hint: $2" >&2
    exit 1
}

engine_answers() {
    docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

systemd_runs() {
    [ -d /run/systemd/system ]
}
