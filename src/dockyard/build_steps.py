"""The steps of a build, read from what its engine writes: BuildKit, docker's legacy builder, podman."""

import re
import time
from collections.abc import Callable

_BUILDKIT = re.compile(r"#(\d+) (.*)")
_ENDED = re.compile(r"(DONE) (\d+\.\d+)s|(CACHED)|(CANCELED)|(ERROR)(?::.*)?")
_OUTPUT = re.compile(r"\d+\.\d+(?: (.*))?")
_CLASSIC = re.compile(r"(?:\[\d+/\d+\] )?(?i:STEP) (\d+/\d+) ?: (.*)")
_CONTEXT = "Sending build context to Docker daemon"
_CLASSIC_END = re.compile(r"COMMIT |Successfully (built|tagged) |Removing intermediate container ")

DONE, CACHED, FAILED = "done", "cached", "failed"
_RESULTS = {"DONE": DONE, "CACHED": CACHED, "CANCELED": FAILED, "ERROR": FAILED}


class Step:
    """One step: what it does, the last that it wrote, how it ended, and how many seconds it took."""

    def __init__(self, name: str, began: float) -> None:
        self.name = name
        self.began = began
        self.detail = ""
        self.result = ""
        self.seconds = 0.0

    @property
    def is_of_dockerfile(self) -> bool:
        """Whether an instruction is behind it, not only the builder's own work."""
        return self.name.startswith("[") and not self.name.startswith(("[internal]", "[auth]"))


class Steps:
    """The steps of one build so far."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._numbered: dict[str, Step] = {}
        self._current: Step | None = None
        self._is_classic = False
        self.ended: list[Step] = []
        """Steps that have ended, in the order of their ends."""

    @property
    def running(self) -> tuple[Step, ...]:
        """The steps that have begun and not ended."""
        current = [self._current] if self._current else []
        return (*current, *(step for step in self._numbered.values() if not step.result))

    def read(self, line: str) -> bool:
        """Take a line; returns whether it belongs to a step."""
        text = line.rstrip()
        if found := _BUILDKIT.fullmatch(text):
            self._read_numbered(found[1], found[2])
            return True
        if found := _CLASSIC.fullmatch(text):
            self._begin(f"[{found[1]}] {found[2]}")
        elif text.startswith(_CONTEXT):
            self._begin(_CONTEXT)
        elif self._is_classic:
            self._read_current(text)
            return not text.startswith("[Warning]")
        else:
            return not text
        return True

    def _begin(self, name: str) -> None:
        """Begin a step of a builder that takes one after the other."""
        self._end_current()
        self._is_classic = True
        self._current = Step(name, self._clock())

    def _read_numbered(self, number: str, text: str) -> None:
        step = self._numbered.get(number)
        if not step or step.result:
            if number != "0" and text != "...":
                self._numbered[number] = Step(text, self._clock())
            return
        if found := _ENDED.fullmatch(text):
            word = next(filter(None, (found[1], *found.groups()[2:])))
            self._end(step, _RESULTS[word], float(found[2]) if found[2] else None)
        elif text not in {step.name, "..."}:
            output = _OUTPUT.fullmatch(text)
            step.detail = ((output[1] or "") if output else text).strip() or step.detail

    def _read_current(self, text: str) -> None:
        if _CLASSIC_END.match(text):
            self._end_current()
        elif self._current and text.strip().startswith(("---> Using cache", "--> Using cache")):
            self._end_current(CACHED)
        elif self._current and not text.lstrip().startswith(("---> ", "--> ")):
            self._current.detail = text.strip() or self._current.detail

    def _end_current(self, result: str = DONE) -> None:
        step, self._current = self._current, None
        if step:
            self._end(step, result)

    def _end(self, step: Step, result: str, seconds: float | None = None) -> None:
        step.result = result
        step.seconds = self._clock() - step.began if seconds is None else seconds
        self.ended.append(step)
