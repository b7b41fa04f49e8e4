"""Checks of Dockerfiles."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from dockyard.check.point import Concern, Found, Severity
from dockyard.check.registry import check
from dockyard.check.secrets import is_secret, names_secret
from dockyard.check.subject import Dockerfile, Subject
from dockyard.dockerfile import Copied, assignments, copied, given_values, is_reference, mounted_secrets
from dockyard.dockerfile_text import Instruction
from dockyard.plan.build import is_own_image
from dockyard.settings.keys import BUILD_PARAMS, BUILD_SECRETS
from dockyard.settings.load import shown
from dockyard.settings.types import has_glob
from dockyard.text import did_you_mean

_KNOWN = (
    *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER"),
    *("ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
)
_ADDRESS = re.compile(r"(https?|ftp|git)://|git@")
_ARCHIVE = re.compile(r"\.(tar|tgz|tbz2?|txz|tzst|tar\.\w+|gz|bz2|xz|zst)$")
_PIPED = re.compile(r"\b(curl|wget)\b[^|;&\n]*\|\s*(sudo\s+(-\S+\s+)*)?(env\s+)?(/\S*/)?(ba|da|k|z|a)?sh\b")
_SUBSTITUTED = re.compile(r"\b(ba|da|k|z|a)?sh\b\s+(-\w+\s+)*(<\(|[\"']?\$\(|[\"']?`)\s*(curl|wget)\b")
_UNVERIFIED = re.compile(
    r"\bcurl\b[^|;&\n]*\s(-[a-zA-Z]*k\b|--insecure)|\bwget\b[^|;&\n]*--no-check-certificate|"
    r"--allow-unauthenticated|--force-yes|--allow-untrusted|--trusted-host|--no-gpg-check|--nogpgcheck"
)
_OPEN = re.compile(r"\bchmod\b[^|;&\n]*\s([0-7]?[0-7][0-7][2367]|[augo]*[ao][augo]*\+[rwxX]*w[rwxX]*|\+[rwxX]*w\w*)\s")
_STICKY = re.compile(r"\bchmod\b[^|;&\n]*\s(1[0-7]{3}|[augo]*\+\w*t\w*)\s")
_SETUID = re.compile(r"\bchmod\b[^|;&\n]*\s([4-7][0-7]{3}|[augo]*\+[rwxX]*s\w*)\s|\bsetcap\b")
_KEY_NAMES = re.compile(r"(^|/)(id_(rsa|dsa|ecdsa|ed25519)|\.env|\.netrc|\.npmrc|\.pypirc|\.git|\.aws|\.ssh)/?$")
_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_MOST_FILES = 20_000  # of files/ that are searched for keys


def _each(subject: Subject, *names: str) -> Iterator[tuple[Dockerfile, Instruction]]:
    dockerfile = subject.dockerfile
    for instruction in dockerfile.instructions if dockerfile else ():
        if dockerfile and instruction.name in names:
            yield dockerfile, instruction


@check("dockerfile-unreadable", Severity.ERROR, "A Dockerfile that cannot be built")
def dockerfile_unreadable(subject: Subject) -> Iterator[Found]:
    """The build fails before it begins."""
    dockerfile = subject.dockerfile
    if not dockerfile:
        return
    if not dockerfile.stages:
        yield Found("the Dockerfile has no FROM", dockerfile.file, write="FROM …")
    for stage in (stage for stage in dockerfile.stages if stage.is_from_image and not is_reference(stage.base)):
        hint = "give each ARG before the first FROM a default"
        yield Found(f"FROM names no image: `{stage.base}`", dockerfile.at(stage), hint=hint)
    for one in dockerfile.instructions:
        if one.name not in _KNOWN:
            yield Found(f"unknown instruction `{one.name}`", dockerfile.at(one), hint=did_you_mean(one.name, _KNOWN))


# ---------------------------------------------------------------------------------------------------------------- bases
@check("dockerfile-unpinned-base", Severity.WARNING, "A base image that is not pinned")
def dockerfile_unpinned_base(subject: Subject) -> Iterator[Found]:
    """Two builds of the same source may differ: a failure may come from the source or from a changed base."""
    dockerfile = subject.dockerfile
    if not dockerfile:
        return
    for stage in (stage for stage in dockerfile.stages if stage.is_from_image):
        if is_reference(stage.base) and not _is_pinned(stage.base) and not is_made_here(subject, stage.base):
            message = f"base image `{stage.base}` is not pinned"
            yield Found(message, dockerfile.at(stage), write=f"FROM {stage.base.removesuffix(':latest')}:VERSION")


def _is_pinned(reference: str) -> bool:
    """Return whether a reference has a digest, or a tag other than `latest`."""
    tag = reference.rpartition("/")[2].partition(":")[2]
    return "@" in reference or tag not in {"", "latest"}


def is_made_here(subject: Subject, reference: str) -> bool:
    """Return whether a base image is built here: by a service of this host, or in a repository of its images."""
    is_own = subject.settings is not None and is_own_image(reference, subject.settings)
    return is_own or subject.fleet.maker(reference) is not None


# --------------------------------------------------------------------------------------------------------------- copies
@check("dockerfile-files-not-copied", Severity.WARNING, "files/ is not copied into the image")
def dockerfile_files_not_copied(subject: Subject) -> Iterator[Found]:
    """Everything in files/ is meant to be in the image."""
    files = subject.service.directory / "files"
    if not subject.dockerfile or not files.is_dir() or not any(files.iterdir()):
        return
    taken = [_plain(source) for _, one in _each(subject, "ADD", "COPY") for source in _from_here(one).sources]
    if not any(path in {"", "."} or path.split("/")[0] == "files" or has_glob(path) or "$" in path for path in taken):
        yield Found("files/ is not copied into the image", subject.dockerfile.file, write="COPY files /")


@check("dockerfile-copies-everything", Severity.WARNING, "The whole source is copied into the image")
def dockerfile_copies_everything(subject: Subject) -> Iterator[Found]:
    """Settings, Tests and all other files get into the image, and each change to them creates a new one."""
    if (subject.service.directory / ".dockerignore").is_file():
        return
    for dockerfile, one in _each(subject, "ADD", "COPY"):
        taken = _from_here(one)
        if any(_plain(source) in {"", ".", "*"} for source in taken.sources):
            message = f"`{one.name} {taken.sources[0]}` copies everything in the service's directory"
            yield Found(message, dockerfile.at(one), write="COPY files /")


@check("dockerfile-copy-missing", Severity.ERROR, "A copy of a missing file")
def dockerfile_copy_missing(subject: Subject) -> Iterator[Found]:
    """The build fails."""
    if subject.service.file("Build"):
        return  # it may create what is copied
    for dockerfile, one in _each(subject, "ADD", "COPY"):
        for source in _from_here(one).sources:
            path = subject.service.directory / _plain(source)
            if not (has_glob(source) or re.search(r"[$<]|://|^git@", source)) and not path.exists():
                yield Found(f"`{source}`, which it copies, does not exist", dockerfile.at(one))


@check("dockerfile-copies-secret", Severity.ERROR, "A secret file in an image", cis="4.10", concern=Concern.SECURITY)
def dockerfile_copies_secret(subject: Subject) -> Iterator[Found]:
    """Anyone who has the image has the secret, even if a later step removes the file."""
    for dockerfile, one in _each(subject, "ADD", "COPY"):
        for source in _from_here(one).sources:
            if _KEY_NAMES.search(source):
                hint = "use RUN --mount=type=secret with `build_secrets`, or mount it at launch"
                yield Found(f"`{source}` is copied into the image", dockerfile.at(one), hint=hint)
    if any(_plain(source) in {"files", "", "."} for _, one in _each(subject, "COPY") for source in copied(one).sources):
        for path in _private_keys(subject.service.directory / "files"):
            yield Found("a private key is copied into the image", shown(path), hint="mount it at launch")


def _private_keys(top: Path) -> Iterator[Path]:
    """Yield the files that begin like private keys; at most `_MOST_FILES` are inspected."""
    seen = 0
    for directory, _, names in os.walk(top):
        for name in sorted(names):
            seen += 1
            path = Path(directory, name)
            if seen > _MOST_FILES or not path.is_file():
                continue
            try:
                with path.open("rb") as file:
                    begin = file.read(64)
            except OSError:
                continue
            if _KEY.match(begin):
                yield path


@check("dockerfile-add-address", Severity.WARNING, "ADD of an unverified address", cis="4.9", concern=Concern.SECURITY)
def dockerfile_add_address(subject: Subject) -> Iterator[Found]:
    """Whatever that address returns on the day of the build gets into the image."""
    for dockerfile, one in _each(subject, "ADD"):
        taken = copied(one)
        remote = [source for source in taken.sources if _ADDRESS.match(source)]
        if remote and not any(word.startswith("--checksum=") for word in taken.options):
            write = f"ADD --checksum=sha256:… {remote[0]} {taken.target}"
            yield Found(f"`ADD {remote[0]}` is not verified", dockerfile.at(one), write=write)


@check("dockerfile-add", Severity.NOTE, "ADD instead of COPY", cis="4.9")
def dockerfile_add(subject: Subject) -> Iterator[Found]:
    """ADD unpacks archives and downloads addresses: a file with the wrong name adds unintended content."""
    for dockerfile, one in _each(subject, "ADD"):
        sources = copied(one).sources
        if sources and not any(_ADDRESS.match(source) or _ARCHIVE.search(source) for source in sources):
            yield Found(
                "ADD is used where COPY is enough", dockerfile.at(one), write=f"COPY {one.value.splitlines()[0]}"
            )


def _from_here(instruction: Instruction) -> Copied:
    """Return what is copied from the build context; nothing if it is from another stage."""
    taken = copied(instruction)
    return taken._replace(sources=()) if taken.stage else taken


def _plain(source: str) -> str:
    return source.removeprefix("./").strip("/")


# -------------------------------------------------------------------------------------------------------------- secrets
@check("dockerfile-secret", Severity.ERROR, "A secret in a Dockerfile", cis="4.10", concern=Concern.SECURITY)
def dockerfile_secret(subject: Subject) -> Iterator[Found]:
    """Anyone who has the image can read it in the image's history, and it stays in the source's history."""
    for dockerfile, one in _each(subject, "ENV", "ARG"):
        for name, value in assignments(one):
            where, write = (
                dockerfile.at(one),
                "RUN --mount=type=secret,id=… with `build_secrets`, or `env` in settings.yaml",
            )
            if value and is_secret(name, value):
                yield Found(f"`{one.name} {name}` contains a secret", where, write=write)
            elif one.name == "ARG" and not value and names_secret(name):
                message = f"`ARG {name}` puts a secret into the image's history"
                yield Found(message, where, write=write, severity=Severity.WARNING)


@check("dockerfile-secret-missing", Severity.WARNING, "A secret that is not given to the build")
def dockerfile_secret_missing(subject: Subject) -> Iterator[Found]:
    """The step runs without it: the engine mounts nothing, and fails only if the mount is `required`."""
    if not subject.settings:
        return
    parameters = subject.settings[BUILD_PARAMS]
    flags = given_values(parameters, "--secret")
    given = {secret.id for secret in subject.settings[BUILD_SECRETS]}
    given |= {value.partition("=")[2] for flag in flags for value in flag.split(",") if value.startswith("id=")}
    for dockerfile, one in _each(subject, "RUN"):
        for secret in mounted_secrets(one):
            if secret and secret not in given:
                write = f"build_secrets: [{secret}]"
                yield Found(f"the secret `{secret}` is not given to the build", dockerfile.at(one), write=write)


# ------------------------------------------------------------------------------------------------------------------ RUN
@check("dockerfile-pipe-to-shell", Severity.WARNING, "A download that is run unverified", concern=Concern.SECURITY)
def dockerfile_pipe_to_shell(subject: Subject) -> Iterator[Found]:
    """Anyone who controls that address or the connection to it can run any code in each build."""
    for dockerfile, one in _each(subject, "RUN"):
        if _PIPED.search(one.value) or _SUBSTITUTED.search(one.value):
            hint = "download it, verify its hash, then run it"
            yield Found("the step runs an unverified download", dockerfile.at(one), hint=hint)


@check(
    "dockerfile-unverified", Severity.WARNING, "A download that is not verified", cis="4.11", concern=Concern.SECURITY
)
def dockerfile_unverified(subject: Subject) -> Iterator[Found]:
    """Anyone on the network path to that server decides what gets into the image."""
    for dockerfile, one in _each(subject, "RUN"):
        if found := _UNVERIFIED.search(one.value):
            message = f"`{found[0].split()[0]}` … `{found[0].split()[-1]}` does not verify the download"
            yield Found(message, dockerfile.at(one), hint="remove that flag")


@check("dockerfile-update-alone", Severity.WARNING, "Outdated package lists", cis="4.7")
def dockerfile_update_alone(subject: Subject) -> Iterator[Found]:
    """The engine caches the step that fetched the lists: later steps install outdated versions."""
    for dockerfile, one in _each(subject, "RUN"):
        updates = re.search(r"\bapt(-get)?\s+(-\S+\s+)*update\b", one.value)
        if updates and not re.search(r"\bapt(-get)?\b[^|;&\n]*\b(install|upgrade|dist-upgrade|build-dep)\b", one.value):
            write = "RUN apt-get update && apt-get install --yes …"
            yield Found("`apt-get update` is a step of its own", dockerfile.at(one), write=write)


@check("dockerfile-asks", Severity.ERROR, "A package manager that asks questions")
def dockerfile_asks(subject: Subject) -> Iterator[Found]:
    """There is no input during a build: it fails."""
    for dockerfile, one in _each(subject, "RUN"):
        for command in re.findall(r"\bapt(?:-get)?\s[^|;&\n]*\b(?:install|upgrade|dist-upgrade)\b[^|;&\n]*", one.value):
            if not re.search(r"\s(-\w*[yq]\w*|--yes|--assume-yes|-qq)\b", command) and "assume-yes" not in one.value:
                yield Found("`apt-get` asks whether to continue", dockerfile.at(one), write="apt-get install --yes …")


@check("dockerfile-lists-kept", Severity.NOTE, "Package lists in an image")
def dockerfile_lists_kept(subject: Subject) -> Iterator[Found]:
    """The package lists take some 20 MB, and are outdated when they are next used."""
    for dockerfile, one in _each(subject, "RUN"):
        installs = re.search(r"\bapt(-get)?\b[^|;&\n]*\binstall\b", one.value)
        if installs and "/var/lib/apt/lists" not in one.value and "type=cache" not in one.value:
            write = "… && rm -rf /var/lib/apt/lists/*"
            yield Found("the package lists stay in the image", dockerfile.at(one), write=write)


@check(
    "dockerfile-world-writable", Severity.WARNING, "Files that every user inside can change", concern=Concern.SECURITY
)
def dockerfile_world_writable(subject: Subject) -> Iterator[Found]:
    """An attacker who breaks into the service can change what other users run."""
    for dockerfile, one in _each(subject, "RUN"):
        if (found := _OPEN.search(one.value)) and not _STICKY.search(one.value):
            message = f"`chmod {found[1]}` gives every user write permission"
            yield Found(message, dockerfile.at(one), hint="chown it to the user that writes to it")


@check("dockerfile-setuid", Severity.WARNING, "Programs that give privileges", cis="4.8", concern=Concern.SECURITY)
def dockerfile_setuid(subject: Subject) -> Iterator[Found]:
    """An attacker who breaks into the service, as any user, gets these privileges too."""
    for dockerfile, one in _each(subject, "RUN"):
        if found := _SETUID.search(one.value):
            message = f"`{found[0].strip()}` gives privileges to any user"
            yield Found(message, dockerfile.at(one), hint="remove it if the service works without it")
