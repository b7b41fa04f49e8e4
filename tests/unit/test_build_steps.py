"""Steps are read from what each builder writes; the texts are what these builders wrote."""

import itertools

import pytest

from dockyard.build_steps import CACHED, DONE, FAILED, Steps

BUILDKIT = """\
#0 building with "default" instance using docker driver

#1 [internal] load build definition from Dockerfile
#1 transferring dockerfile: 178B done
#1 DONE 0.1s

#4 [stage-0 1/4] COPY bb /bin/sh
#4 CACHED

#6 [stage-0 3/4] RUN make
#6 0.475 compiling
#6 ...

#7 [other 1/1] RUN sleep 3
#7 0.389 one

#6 [stage-0 3/4] RUN make
#6 0.900 linking
#6 DONE 1.5s

#7 ERROR: process "/bin/sh -c sleep 3" did not complete successfully: exit code: 3
------
 > [other 1/1] RUN sleep 3:
------
 1 warning found (use docker --debug to expand):
"""
LEGACY = """\
Sending build context to Docker daemon  2.063MB\r
Step 1/3 : FROM busybox:1
 ---> 3f57d9401f8d
Step 2/3 : COPY a /a
 ---> Using cache
 ---> 1aa1d0052ddd
Step 3/3 : RUN echo hi
 ---> Running in 0c5c1ad4a0f4
hi
Removing intermediate container 0c5c1ad4a0f4
 ---> 41a6b97bf611
[Warning] One or more build-args [X] were not consumed
Successfully built 41a6b97bf611
Successfully tagged web:latest
"""
PODMAN = """\
[1/2] STEP 1/2: FROM scratch AS a
[1/2] STEP 2/2: COPY bb /bin/sh
--> Using cache 08b5497d38caa9e0582e79b7e053aafbe4cc617a3552b06e113bc57672294673
--> 08b5497d38ca
[2/2] STEP 1/1: RUN echo hi; exit 3
hi
"""


def read(text: str) -> tuple[Steps, list[str]]:
    """Return the steps of a build, with a clock that takes a second a look, and the lines that belong to none."""
    ticks = itertools.count()
    steps = Steps(clock=lambda: float(next(ticks)))
    return steps, [line for line in text.splitlines() if not steps.read(line)]


def test_buildkit() -> None:
    """Steps that run side by side, one that is cached, one that fails; the builder's own work is told apart."""
    steps, others = read(BUILDKIT)
    assert [(step.name, step.result, step.is_of_dockerfile) for step in steps.ended] == [
        ("[internal] load build definition from Dockerfile", DONE, False),
        ("[stage-0 1/4] COPY bb /bin/sh", CACHED, True),
        ("[stage-0 3/4] RUN make", DONE, True),
        ("[other 1/1] RUN sleep 3", FAILED, True),
    ]
    assert [step.seconds for step in steps.ended if step.result == DONE] == [0.1, 1.5]
    assert others == [
        "------",
        " > [other 1/1] RUN sleep 3:",
        "------",
        " 1 warning found (use docker --debug to expand):",
    ]


def test_what_runs_shows_the_last_that_it_wrote() -> None:
    """A step that has not ended is running, with its last line."""
    steps, _ = read("#6 [2/2] RUN make\n#6 0.4 compiling\n#6 0.9 \n#7 [1/2] FROM a\n#7 sha256:1 1MB / 3MB 0.2s\n")
    assert [(step.name, step.detail) for step in steps.running] == [
        ("[2/2] RUN make", "compiling"),
        ("[1/2] FROM a", "sha256:1 1MB / 3MB 0.2s"),
    ]


def test_legacy_builder() -> None:
    """One step after the other; a warning belongs to none."""
    steps, others = read(LEGACY)
    assert [(step.name, step.result) for step in steps.ended if step.is_of_dockerfile] == [
        ("[1/3] FROM busybox:1", DONE),
        ("[2/3] COPY a /a", CACHED),
        ("[3/3] RUN echo hi", DONE),
    ]
    assert others == ["[Warning] One or more build-args [X] were not consumed"]
    assert not steps.running


def test_podman() -> None:
    """Several stages; the step that fails is still running at the end."""
    steps, others = read(PODMAN)
    assert [(step.name, step.result) for step in steps.ended] == [
        ("[1/2] FROM scratch AS a", DONE),
        ("[2/2] COPY bb /bin/sh", CACHED),
    ]
    assert [(step.name, step.detail) for step in steps.running] == [("[1/1] RUN echo hi; exit 3", "hi")]
    assert not others


@pytest.mark.parametrize("text", [BUILDKIT, LEGACY, PODMAN])
def test_every_cut_is_read(text: str) -> None:
    """A build that is cut short anywhere leaves steps that have ended and steps that run, none twice."""
    lines = text.splitlines()
    for length in range(len(lines)):
        steps, _ = read("\n".join(lines[:length]))
        assert not set(map(id, steps.ended)) & set(map(id, steps.running))
