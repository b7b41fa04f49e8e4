"""What changes in an image, as the upgrade, the history, a failure and `d surface` show it, on each image store."""

import json
from pathlib import Path

import pytest

from tests.engines.world import FROM_SCRATCH, World, write

PASSES, FAILS = "#!/bin/sh\nexit 0\n", "#!/bin/sh\nexit 1\n"
STATUS = "Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: {}\n"


def install(service: Path, version: str) -> None:
    """Have the service's image contain a version of a package, as dpkg would."""
    write(service / "files/var/lib/dpkg/status", STATUS.format(version))
    write(service / "files/usr/bin/openssl", f"program {version}")


@pytest.mark.matrix
def test_a_fixed_package_is_shown_wherever_an_image_changes(engine: World) -> None:
    """In the report, the history, `d surface`, and for a failure relative to what is live; logs do not count."""
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
    install(service, "3.0.18")
    write(service / "Test", FAILS, mode=0o755)
    engine.d("upgrade", service.name, expect=1)
    why = engine.d("why", service.name).stdout
    assert "which is live: openssl 3.0.17 → 3.0.18, 1 file\n" in why
