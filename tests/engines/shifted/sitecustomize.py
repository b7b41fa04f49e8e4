# ruff: noqa: INP001
"""Has a program of dockyard see a later time: with this directory on PYTHONPATH, and `SHIFT_SECONDS`.

Only the clock on the wall is shifted: timeouts are real.
"""

import os
import time

_SHIFT = float(os.environ.get("SHIFT_SECONDS", "0"))
_time, _gmtime, _localtime, _strftime = time.time, time.gmtime, time.localtime, time.strftime


def _shifted_time() -> float:
    return _time() + _SHIFT


def _shifted_gmtime(seconds: float | None = None) -> time.struct_time:
    return _gmtime(_shifted_time() if seconds is None else seconds)


def _shifted_localtime(seconds: float | None = None) -> time.struct_time:
    return _localtime(_shifted_time() if seconds is None else seconds)


def _shifted_strftime(form: str, moment: time.struct_time | None = None) -> str:
    return _strftime(form, moment or _shifted_localtime())


time.time, time.gmtime, time.localtime = _shifted_time, _shifted_gmtime, _shifted_localtime  # type: ignore[assignment]
time.strftime = _shifted_strftime  # type: ignore[assignment]
