# shellcheck shell=sh
# What the scripts in this directory share; they set `repository` before they read it.

: "${repository:?}"
# shellcheck disable=SC2034 # for those who read this file in
state=$repository/.state
log=$state/setup.log
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

# ---- packages of the distribution

# apt_get ARGUMENT...: its output goes to the log. --no-remove: whatever is there stays.
apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get --yes --quiet --no-remove --no-install-recommends \
        -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1 </dev/null
}

# install_packages WHY PACKAGE...: refreshes the package lists only if it does not work without.
install_packages() {
    why=$1
    shift
    command -v apt-get >/dev/null ||
        fail "missing: $why" "this script knows Debian and Ubuntu only; install by hand what they call: $*"
    [ "$(id -u)" = 0 ] || fail "missing: $why" "as root: apt-get install $*"
    say "installing $* ($why)"
    mkdir -p "$state"
    : >"$log"
    apt_get install "$@" && return 0
    if apt_get update && apt_get install "$@"; then
        return 0
    fi
    tail -n 20 "$log" >&2
    fail "could not install $*" "the whole output is in $log"
}

# ---- Python

# The newest Python is not always called python3. Prints nothing where there is none that will do.
find_python() {
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
}

# make_venv DIRECTORY: installs Python where there is none.
make_venv() {
    python=$(find_python)
    if [ -z "$python" ]; then
        install_packages "Python" python3-venv
        python=$(find_python)
    fi
    [ -n "$python" ] || fail "Python 3.11 or later is needed" "install it (python3.11, say) and try again"
    "$python" -c 'import venv, ensurepip' 2>/dev/null || install_packages "Python environments" "$python-venv"
    say "making ${1#"$repository"/} (with $("$python" --version))"
    "$python" -m venv --clear "$1"
}

# pip_in VENV ARGUMENT...
pip_in() {
    in=$1
    shift
    PIP_ROOT_USER_ACTION=ignore "$in/bin/python" -m pip -qq --disable-pip-version-check "$@"
}
