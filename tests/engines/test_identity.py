"""Images are equal by their content: what was built again and is no different switches nothing and moves no tag."""

import json
import shutil
from pathlib import Path

import pytest

from dockyard.engine.models import image_from
from tests.engines.world import BASE, IDLE, LABEL, OURS, REPO, World, copy_example, free_port, set_page, write

PASSES = "#!/bin/sh\nexit 0\n"
WITH_RUN = (
    f"FROM {BASE}\nLABEL {LABEL}\nWORKDIR /made/here\nCOPY files /deep/er/\nRUN echo same >/run-made; mkdir /new\n"
)


def examples(engine: World) -> tuple[str, str]:
    """Have the examples web and redis on free ports, beside the base that is there."""
    web = engine.web(autostart=1, stop_timeout=1)
    redis = engine.source / f"{OURS}redis"
    copy_example("redis", redis)
    settings = (redis / "settings.yaml").read_text().replace("127.0.0.1:6379:6379", f"127.0.0.1:{free_port()}:6379")
    write(redis / "settings.yaml", settings)
    return web.name, redis.name


def state(engine: World, *names: str) -> dict[str, tuple[str, str, str]]:
    """Return of each service the container's id, and what `:live` and `:prev` name."""
    tags = {name: engine.tags(name) for name in names}
    return {name: (engine.container_id(name), tags[name]["live"], tags[name]["prev"]) for name in names}


def dangling(engine: World) -> set[str]:
    """Return the images that no tag names."""
    return set(engine.call("images", "--filter", "dangling=true", "--quiet", "--no-trunc").split())


@pytest.mark.matrix
def test_unchanged_sources_switch_nothing(engine: World) -> None:
    """`d ua` and `d ua --force` on unchanged sources: no switch, `:live` and `:prev` as they were, nothing dangling."""
    names = examples(engine)
    engine.d("upgrade-all", timeout=600)
    set_page(engine.source / names[0], "It works better")
    engine.d("upgrade-all", timeout=600)
    before, images = state(engine, *names, f"{OURS}base"), dangling(engine)
    container, live, previous = before[names[0]]
    assert container
    assert live != previous != ""
    for options in ((), ("--force",)):
        told = json.loads(engine.d("upgrade-all", *options, "--json", timeout=600).stdout)
        assert {one["upgrade"] for one in told["services"]} == {"current"}, told
        assert state(engine, *names, f"{OURS}base") == before
        assert dangling(engine) <= images
    assert all(tags["latest"] == tags["live"] for tags in map(engine.tags, names))


@pytest.mark.matrix
def test_a_forced_build_that_changes_nothing_is_dropped(engine: World) -> None:
    """Steps that write new times make the same image again: `:latest` stays; other bytes are another image."""
    service = engine.service({"cmd": IDLE}, dockerfile=WITH_RUN, files={"a": "1"}, scripts={"Test": PASSES})
    engine.d("upgrade", service.name)
    first, images = engine.tags(service.name), dangling(engine)

    def references() -> set[str]:
        return set(engine.call("images", "--format", "{{.Repository}}:{{.Tag}}").split())

    named = references()
    done = engine.d("build", "--force", service.name)
    assert "the build changed nothing" in done.stderr
    assert engine.tags(service.name) == first
    assert references() == named
    assert dangling(engine) <= images
    for line in ("RUN cat /proc/sys/kernel/random/uuid >/random", "RUN chmod 700 /new", "RUN ln /run-made /second"):
        write(service / "Dockerfile", f"{WITH_RUN}{line}\n")
        engine.d("build", service.name)
        latest = engine.tags(service.name)["latest"]
        forced = engine.d("build", "--force", service.name)
        assert (engine.tags(service.name)["latest"] == latest) == ("random" not in line), forced.text


@pytest.mark.matrix
def test_another_source_with_the_same_content_switches_nothing(engine: World) -> None:
    """A comment in the Dockerfile gives a new image with the same content: it is not promoted, and is up to date."""
    settings = {"cmd": IDLE, "stop_timeout": 1, "autostart": 1}
    dockerfile = f"FROM {BASE}\nLABEL {LABEL}\nCOPY files /\n"
    service = engine.service(settings, dockerfile=dockerfile, files={"a": "1"}, scripts={"Test": PASSES})
    engine.d("upgrade", service.name)
    write(service / "files/a", "2")
    engine.d("upgrade", service.name)
    before = state(engine, service.name)
    write(service / "Dockerfile", f"# a comment\n{dockerfile}")
    assert "is up to date" in engine.d("upgrade", service.name).stdout
    assert state(engine, service.name) == before
    assert "is up to date" in engine.d("upgrade", service.name).stdout
    assert engine.run("d-cowscan", service.name).stdout == "all ok\n"
    assert "already" in engine.d_build(service, "-a").stdout
    assert state(engine, service.name) == before


def test_a_dry_run_of_a_forced_upgrade_tells_what_is_done(engine: World) -> None:
    """It builds without the cache and without attestations nobody asked for; the switch is shown with its condition."""
    settings = {"cmd": IDLE, "stop_timeout": 1, "autostart": 1}
    service = engine.service(settings, dockerfile=WITH_RUN, files={"a": "1"}, scripts={"Test": PASSES})
    engine.d("upgrade", service.name)
    lines = engine.d("upgrade", "-n", "--force", service.name).stdout.splitlines()
    built = next(number for number, line in enumerate(lines) if " build " in line)
    condition = next(number for number, line in enumerate(lines) if "differs from the live one" in line)
    assert "--no-cache" in lines[built]
    assert ("BUILDX_NO_DEFAULT_ATTESTATIONS=1 " in lines[built]) == (engine.engine == "docker")
    tested = next(number for number, line in enumerate(lines) if "./Test" in line)
    assert built < condition < tested < next(number for number, line in enumerate(lines) if " create " in line)


@pytest.mark.matrix
def test_attestations_that_are_asked_for_do_not_matter(engine: World) -> None:
    """`--provenance` gives each build another id where the store has attestations; the content is the same."""
    if "containerd" not in engine.call("info", "--format", "{{json .}}") or engine.engine != "docker":
        pytest.skip("attestations take docker's containerd image store")
    driver = json.loads(engine.call("info", "--format", "{{json .DriverStatus}}"))
    if not any("containerd" in str(row) for row in driver or ()):
        pytest.skip("attestations take docker's containerd image store")
    for parameters in (["--provenance=true"], ["--provenance=false"], ["--provenance=mode=max", "--sbom=false"]):
        settings = {"cmd": IDLE, "stop_timeout": 1, "autostart": 1, "build_params": parameters}
        service = engine.service(settings, dockerfile=WITH_RUN, files={"a": "1"}, scripts={"Test": PASSES})
        engine.d("upgrade", service.name)
        before = state(engine, service.name)
        engine.d("upgrade", "--force", service.name)
        assert state(engine, service.name) == before


def test_another_build_in_between_is_found(engine: World, tmp_path: Path) -> None:
    """If the tag names another image when the build is done, that is an error, in every image store."""
    service = engine.service("", dockerfile=WITH_RUN, files={"a": "1"})
    client = shutil.which(engine.engine) or ""
    moves = f'case "$*" in *build*--tag*) {client} tag {BASE} {REPO}/{service.name}:latest;; esac'
    write(tmp_path / engine.engine, f'#!/bin/sh\n{client} "$@"; code=$?\n{moves}\nexit $code\n', mode=0o755)
    done = engine.d_build(service, expect=1, env={"DOCKER_EXEC": str(tmp_path / engine.engine)})
    assert "was re-tagged by another build" in done.stderr


def test_a_moved_image_has_the_same_content(engine: World) -> None:
    """What docker saves and podman loads is equal by content."""
    other = {"docker": "podman", "podman": "docker"}[engine.engine]
    if not shutil.which(other) or engine.run(other, "info", expect=None).exit_code:
        pytest.skip(f"{other} is not here, or does not answer")
    dockerfile = f'{WITH_RUN}ENV WORD=x\nUSER 12\nEXPOSE 80\nVOLUME /deep\nSTOPSIGNAL SIGINT\nENTRYPOINT ["/bin/sh"]\n'
    service = engine.service("", dockerfile=dockerfile, files={"a": "1"})
    engine.d_build(service)
    reference, archive = f"{REPO}/{service.name}:latest", str(engine.root / "moved.tar")
    engine.call("save", "--output", archive, reference)
    loaded = engine.run(other, "load", "--input", archive).stdout.split()[-1]  # podman names its own `localhost/…`
    try:
        answers = [
            json.loads(engine.run(*asked, expect=0).stdout)[0]
            for asked in ((other, "image", "inspect", loaded), (engine.engine, "image", "inspect", reference))
        ]
        assert image_from(answers[0]).content == image_from(answers[1]).content
    finally:
        engine.run(other, "rmi", "--force", loaded, expect=None)
