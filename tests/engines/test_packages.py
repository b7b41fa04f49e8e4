"""What changes in an image, as the upgrade, the history, a failure and `d surface` show it, on each image store."""

import json
import os
from pathlib import Path

import pytest

from tests.engines.world import FROM_SCRATCH, World, write

PASSES = "#!/bin/sh\nexit 0\n"
FOUND = '{"vulnerability": {"id": "CVE-%s", "severity": "High"}, "artifact": {"name": "a", "version": "1"}}'
SCANNER = f"""#!/bin/sh
tar -tf "$2" >/dev/null || exit
case $1 in *:latest) [ ! -e "$(dirname "$0")/worse" ] || more=',{FOUND % 2}';; esac
echo '{{"matches": [{FOUND % 1}'"$more"']}}'
"""
STATUS = "Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: {}\n"


def install(service: Path, version: str) -> None:
    """Have the service's image contain a version of a package, as dpkg would."""
    write(service / "files/var/lib/dpkg/status", STATUS.format(version))
    write(service / "files/usr/bin/openssl", f"program {version}")


@pytest.mark.matrix
def test_a_fixed_package_is_shown_wherever_an_image_changes(engine: World) -> None:
    """In the report, the history and `d surface`; logs do not count."""
    service = engine.service(dockerfile=FROM_SCRATCH, scripts={"Test": PASSES})
    install(service, "3.0.15")
    assert "changed:" not in engine.d("upgrade", service.name).stdout
    install(service, "3.0.17")
    write(service / "files/var/log/dpkg.log", "installed")
    changed = "openssl 3.0.15 → 3.0.17, 1 file"
    assert f"changed: {changed}\n" in engine.d("upgrade", service.name).stdout
    events = json.loads(engine.d("history", service.name, "--json").stdout)
    event = next(event for event in events if event["action"] == "promote")
    assert event["what"] == f"changed: {changed}"
    assert event["detail"]["packages"] == [["openssl", "3.0.15", "3.0.17"]]
    assert "  packages: openssl 3.0.15 → 3.0.17\n" in engine.d("surface", service.name).stdout


def test_a_scanner_has_a_worse_image_refused(engine: World) -> None:
    """It gets a name of the image and its archive; `d why` says what it found, and how the image differs."""
    service, scanner = engine.plain(Test=PASSES), engine.root / "scanner"
    write(service / "files/name", service.name)  # or its image is that of other services, and has their names, too
    write(scanner, SCANNER, mode=0o755)
    engine.host_file.write_text(json.dumps({"scan_command": f"{scanner} {{image}} {{archive}}"}))
    try:
        done = engine.d("upgrade", service.name)
        assert "vulnerabilities: 1, 1 of severity high or worse; nothing runs yet" in done.stdout
        live = engine.tags(service.name)["live"]
        write(service / "files/version", "2")
        write(engine.root / "worse", "")
        refused = engine.d("upgrade", service.name, expect=1)
        assert "have: CVE-2 in a 1 (high)\n" in refused.stderr
        assert engine.tags(service.name)["live"] == live
        why = engine.d("why", service.name).stdout
        assert f"differs from the live image, {live[:12]}: 1 file\n" in why
        assert "CVE-2 in a 1" in why
    finally:
        engine.host_file.write_text("")


def test_the_same_files_again_are_no_upgrade(engine: World) -> None:
    """Another source, layers with other times, and so another content: nothing switches, and no tag moves."""
    service = engine.plain(Test=PASSES)
    engine.d("upgrade", service.name)
    live = engine.tags(service.name)["live"]
    write(service / "Dockerfile", f"{FROM_SCRATCH}# built again\n")
    os.utime(service / "files/version", (1, 1))
    assert "is up to date" in engine.d("upgrade", service.name, "--force").stdout
    tags = engine.tags(service.name)
    assert tags["latest"] != live
    assert (tags["live"], tags["prev"]) == (live, "")
