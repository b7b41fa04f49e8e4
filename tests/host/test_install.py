"""`make install` and `make uninstall`, as root, from the locked packages, on a copy of this machine."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.host.machine import Machine
from tests.host.machine import machine as copy_of_this_machine
from tests.missing import missing


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Yield a copy of this machine; only root can create one."""
    if os.geteuid():
        missing("only root can make a copy of this machine")
    with ExitStack() as stack:
        try:
            found = stack.enter_context(copy_of_this_machine(tmp_path_factory.mktemp("machine")))
        except OSError as error:
            missing(str(error))
        yield found


@pytest.fixture(scope="module")
def installed(machine: Machine) -> Iterator[Machine]:
    """Yield the copy with dockyard installed; after all tests it is uninstalled, and the machine is as before."""
    before = machine.listing()
    machine.run("make install")
    yield machine
    machine.run("make uninstall")
    assert machine.listing() == before


def test_what_is_in_the_way_is_named_and_nothing_changes(machine: Machine):
    """Another `d` is not overwritten, and everything that was begun is removed."""
    machine.run("echo mine >/usr/local/bin/d")
    before = machine.listing()
    told = machine.run("make install", expect=2)
    after = machine.listing()
    machine.run("rm /usr/local/bin/d")
    assert "not part of this installation, but in its way: /usr/local/bin/d" in told
    assert after == before


def test_another_prefix_is_all_there_is(machine: Machine):
    """A user installs below their home directory: programs work, nothing else changes, uninstall removes everything."""
    machine.run("mkdir -p /etc/dockyard")
    before = machine.listing()
    machine.run("mkdir -p /root/home && make install PREFIX=/root/home/.local")
    assert machine.listing() == before
    assert "d (dockyard " in machine.run("/root/home/.local/bin/d --version")
    assert "/etc/dockyard stays" not in machine.run("make uninstall PREFIX=/root/home/.local")
    machine.run("rmdir --ignore-fail-on-non-empty /etc/dockyard")
    assert machine.run("find /root/home") == "/root/home\n"


def test_a_staged_installation_names_only_final_paths(machine: Machine):
    """With DESTDIR no installed file contains it, and the files work after they are moved into place."""
    machine.run("make install DESTDIR=/tmp/stage WITHOUT=man")
    assert machine.run("grep -rIl /tmp/stage /tmp/stage || :") == ""
    assert machine.run("find /tmp/stage -path '*/man/*'") == ""
    machine.run("cp -a /tmp/stage/opt/dockyard /opt/dockyard")
    assert "dockyard" in machine.run("/opt/dockyard/current/bin/d --version")
    machine.run("rm -r /opt/dockyard; make uninstall DESTDIR=/tmp/stage")
    assert machine.run("find /tmp/stage -mindepth 1") == ""


def test_uninstalling_nothing_says_so(machine: Machine):
    """If nothing is installed, uninstall reports that."""
    assert "nothing is installed" in machine.run("make uninstall", expect=2)


def test_everything_is_there_and_works_for_everybody(installed: Machine):
    """The user nobody can run each program; man, systemd, visudo and the shells accept their files."""
    as_nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups --reset-env env PATH=/usr/local/bin:/usr/bin:/bin"
    for program in ("d", "d-run", "d-build", "d-cowscan"):
        assert f"{program} (dockyard " in installed.run(f"cd /; {as_nobody} {program} --version")
    assert "/opt/dockyard/" in installed.run(
        f"cd /; {as_nobody} dockyard-python -c 'print(__import__(\"dockyard\").__file__)'"
    )
    assert installed.run("head -n 1 /usr/local/bin/d-map") == "#!/usr/bin/python3 -IS\n"
    assert "include" in installed.run("cat /usr/local/share/dockyard/dockyard.mk")
    assert installed.run("cmp /usr/local/share/dockyard/settings.schema.json <(d schema)") == ""
    for page in ("d", "d-run", "d-build", "d-cowscan", "d-map", "dockyard-settings"):
        assert f"/{page}." in installed.run(f"man -w {page}")
    assert installed.run("find / -xdev -newer Makefile -name '.*.dockyard'") == ""
    units = "systemd-analyze verify /usr/local/lib/systemd/system/dockyard*.service"
    assert not shutil.which("systemd-analyze") or installed.run(units) == ""
    assert "ExecStart=/usr/local/bin/d up-all" in installed.run("cat /usr/local/lib/systemd/system/dockyard.service")
    assert "ExecStart=/usr/local/bin/d up-all" in installed.run("d install-units --dry-run")


def test_shells_complete_without_being_told(installed: Machine):
    """bash-completion, zsh and fish find our files in their default directories."""
    script = "source /usr/local/share/bash-completion/completions/d-build; complete -p d d-build d-run"
    assert installed.run(script).count("_dockyard") == 3
    assert "/usr/local/share/zsh/site-functions/_dockyard" in installed.run(
        "command -v zsh >/dev/null || exit 0; zsh -fc 'autoload -U +X _dockyard; print ${functions_source[_dockyard]}'"
    ) or not shutil.which("zsh")
    assert not shutil.which("fish") or "upgrade-all" in installed.run("fish -c 'complete -C \"d upg\"'")


def test_everybody_may_run_d_map_by_sudo_and_nothing_else(installed: Machine):
    """Sudo lets nobody run d-map without a password and without arguments; it refuses any other command."""
    if not shutil.which("sudo"):
        pytest.skip("sudo is not installed")
    installed.run("visudo --check --quiet")
    as_nobody = "cd /; setpriv --reuid=65534 --regid=65534 --clear-groups sudo -n"
    assert "password" not in installed.run(f"{as_nobody} /usr/local/bin/d-map", expect=None)
    assert "d-map: it takes no arguments" not in installed.run(f"{as_nobody} /usr/local/bin/d-map x", expect=1)
    assert "password" in installed.run(f"{as_nobody} /usr/bin/id", expect=1)


def test_installing_again_makes_nothing(installed: Machine):
    """Without a change in the checkout, no environment is created, and no file is written."""
    assert "0 files written" in installed.run("make install")
    assert installed.run("ls /opt/dockyard/environments") == "1\n"


def test_programs_work_at_every_moment_of_an_upgrade(installed: Machine):
    """A program that is started repeatedly during an upgrade never fails; old environments are removed."""
    log = installed.run(
        """
        (while [ ! -e /tmp/done ]; do d help >/dev/null && echo ran || echo FAILED; done) >/tmp/loop 2>&1 &
        for number in 1 2; do echo "# $number" >>src/dockyard/__init__.py; make install; done 2>&1
        touch /tmp/done; wait; rm /tmp/done
        sort /tmp/loop | uniq -c
        """
    )
    assert "FAILED" not in log
    assert " ran" in log
    assert installed.run("ls /opt/dockyard/environments").split() == ["2", "3"]
    assert installed.run("readlink /opt/dockyard/current").strip() == "environments/3"
