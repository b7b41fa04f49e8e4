"""Which programs whoever breaks in would be glad of, by their names. Pure."""

import re

_VERSION = re.compile(r"[-.]?\d+(\.\d+)*$")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SHELLS = _words(
    """
    ash bash busybox csh dash elvish fish ksh ksh93 mksh nu pdksh pwsh rbash rc sh tcsh toybox yash zsh
    """
)
"""busybox and toybox have a shell in them, whatever names lead to them."""
INTERPRETERS = _words(
    """
    awk bun clojure deno elixir erl escript expect gawk gdb ghc groovy guile iex irb java jruby jshell julia
    lua luajit mawk mono nawk node nodejs octave original-awk perl php php-cgi pypy python python2 python3 qjs
    R racket Rscript ruby scala tclsh wish
    """
)
PACKAGE_MANAGERS = _words(
    """
    apk apt apt-get aptitude brew bundle cargo composer conda cpan cpanm dnf dpkg dpkg-deb emerge gem go guix
    ipkg mamba microdnf nix nix-env npm npx opkg pacman pip pip3 pipx pkg pnpm poetry rpm rpm2cpio snap tdnf
    uv xbps-install yarn yum zypper
    """
)


def is_shell(name: str) -> bool:
    """Return whether a program of this name is a shell."""
    return _plain(name) in SHELLS or name in SHELLS


def is_interpreter(name: str) -> bool:
    """Return whether a program of this name runs what it is given as a program."""
    return _plain(name) in INTERPRETERS or name in INTERPRETERS


def is_package_manager(name: str) -> bool:
    """Return whether a program of this name brings in others."""
    return _plain(name) in PACKAGE_MANAGERS or name in PACKAGE_MANAGERS


def _plain(name: str) -> str:
    """Return a name without a version: `python3.11` is `python`."""
    return _VERSION.sub("", name)
