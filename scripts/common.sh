# shellcheck shell=sh
# Shared by the scripts in this directory; they set `repository` before they source it.

: "${repository:?}"
# shellcheck disable=SC2034 # used by the scripts that source this file
state=$repository/.state
log=$state/setup.log
PATH=$PATH:/usr/sbin:/sbin # contains the daemons; the PATH of some users lacks it

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

# apt_get ARGUMENT...: writes its output to the log. --no-remove: never removes an installed package.
apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get --yes --quiet --no-remove --no-install-recommends \
        -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1 </dev/null
}

# install_packages WHY PACKAGE...: refreshes the package lists only if the installation fails without.
install_packages() {
    why=$1
    shift
    command -v apt-get >/dev/null ||
        fail "missing: $why" "this script supports only Debian and Ubuntu; install the equivalents of these packages: $*"
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

# The newest Python is not always called python3. Prints nothing if none is new enough.
find_python() {
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
}

# make_venv DIRECTORY: installs Python if there is none.
make_venv() {
    python=$(find_python)
    if [ -z "$python" ]; then
        install_packages "Python" python3-venv
        python=$(find_python)
    fi
    [ -n "$python" ] || fail "Python 3.11 or later is needed" "install it, for example python3.11, and try again"
    "$python" -c 'import venv, ensurepip' 2>/dev/null || install_packages "Python environments" "$python-venv"
    say "creating ${1#"$repository"/} (with $("$python" --version))"
    "$python" -m venv --clear "$1"
}

# pip_in VENV ARGUMENT...
pip_in() {
    in=$1
    shift
    PIP_ROOT_USER_ACTION=ignore "$in/bin/python" -m pip -qq --disable-pip-version-check "$@"
}
