"""Versions in tags: what `16.4-alpine3.20` or `bookworm-20261118-slim` says, and which other tags compare with it."""

import re
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dockyard.updates.track import Track

Kind = str
"""`major`, `minor` or `patch`."""

LONGEST_TAG = 128  # of the distribution protocol
_MOST_DIGITS = 18

_DAY = r"(?:19|20)\d{2}(?P<dash>[-_.]?)(?:0[1-9]|1[0-2])(?P=dash)(?:0[1-9]|[12]\d|3[01])"
_TIME = r"(?:[T_-](?P<time>[0-2]\d[-:]?[0-5]\d(?:[-:]?[0-5]\d)?)Z?)"
_COMPACT_TIME = r"(?P<compact>[0-2]\d[0-5]\d(?:[0-5]\d)?)"
_DATE = re.compile(rf"(?P<day>{_DAY})(?:{_COMPACT_TIME}|{_TIME})?(?P<rest>(?:\.\d+)*)(?![A-Za-z0-9])")
_NUMBERS = r"\d+(?:[._]\d+)*"
_WORDS = {
    **dict.fromkeys(("snapshot", "nightly", "unstable", "edge", "canary", "next", "testing"), 0),
    **dict.fromkeys(("dev", "develop"), 1),
    **dict.fromkeys(("alpha", "a"), 2),
    **dict.fromkeys(("beta", "b", "temp"), 3),
    **dict.fromkeys(("preview", "pre", "ea", "m", "milestone"), 4),
    **dict.fromkeys(("rc", "cr"), 5),
}
"""Words that mark a pre-release, from the least finished."""
_NEEDS_NUMBER = {"a", "b", "m"}
_ANY_WORD = "|".join(sorted(_WORDS, key=len, reverse=True))
_PRE_RELEASE = re.compile(rf"({_ANY_WORD})[._]?(\d*)", re.IGNORECASE)
_COMPONENT = re.compile(
    rf"(?P<word>[A-Za-z]*)(?P<numbers>{_NUMBERS})(?:[._]?(?P<pre>(?:{_ANY_WORD})[._]?\d*))?", re.IGNORECASE
)
_SUFFIX_COMPONENT = re.compile(r"([A-Za-z]*[._]?)(\d+(?:\.\d+)*)")
_HASH = re.compile(r"(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{7,64}")
_OF_HASHES = {"sha", "sha1", "sha256", "sha512", "git", "commit", "rev", "pr", "mr", "branch"}
_MOVING = {"latest", "stable", "mainline", "lts", "current", "edge", "nightly", "rolling", "main", "master"}
_SYSTEMS = {"alpine", "debian", "ubuntu", "ubi", "centos", "rocky", "almalinux", "fedora", "el", "rhel", "oraclelinux"}
_SYSTEMS |= {"bookworm", "bullseye", "trixie", "noble", "jammy", "focal", "leap", "amazonlinux", "photon"}
_ARCHITECTURES = {"amd64", "arm64", "arm32", "arm", "i386", "x64", "x86", "ppc64", "riscv64", "mips64", "armhf"}
_COUNTERS = {"", "r", "ls", "rev", "build", "b", "p", "patch", "ce", "ee"}
_SIGNATURES = (".sig", ".att", ".sbom")


class PreRelease(NamedTuple):
    """How far a pre-release is: the rank of its word, and its number."""

    rank: int
    number: int


class Version(NamedTuple):
    """What a tag says.

    `shape` is how its numbers are written (`#.#`), and `suffix` what follows them, its numbers as `#`: `-alpine#`.
    The numbers of the suffix are apart: `variants` say what the image is for (alpine 3.20), `counters` how many times
    the version was built (`-ls45`, `-r3`, a date).
    """

    tag: str
    prefix: str
    numbers: tuple[int, ...]
    shape: str
    is_date: bool = False
    pre_release: PreRelease | None = None
    suffix: str = ""
    variants: tuple[tuple[int, ...], ...] = ()
    counters: tuple[int, ...] = ()

    @property
    def order(self) -> tuple[object, ...]:
        """What versions of one family are ordered by; a pre-release is older than its release."""
        finished = (1, 0, 0) if self.pre_release is None else (0, *self.pre_release)
        return (self.numbers, finished, self.counters, self.variants, self.tag)

    @property
    def family(self) -> tuple[object, ...]:
        """What versions that compare have in common, but for the numbers of the variant."""
        return (self.prefix, self.shape, self.is_date, self.suffix, len(self.counters))


class _Core(NamedTuple):
    """The numbers of a tag, and what is before and after them."""

    prefix: str
    numbers: tuple[int, ...]
    shape: str
    rest: str
    is_date: bool = False
    pre_release: PreRelease | None = None


class _Suffix(NamedTuple):
    """What follows the numbers of a tag, its own numbers apart."""

    words: str
    variants: tuple[tuple[int, ...], ...]
    counters: tuple[int, ...]
    pre_release: PreRelease | None


def parse_version(tag: str) -> Version | None:
    """Return the version that a tag names; None for `latest`, names of releases, hashes and signatures."""
    if len(tag) > LONGEST_TAG or not tag.isascii() or tag.endswith(_SIGNATURES):
        return None
    if _HASH.fullmatch(tag) or re.split(r"[-_.]", tag, maxsplit=1)[0].lower() in _OF_HASHES:
        return None
    core = _read_dated(tag) or _read_numbered(tag)
    if core is None:
        return None
    suffix = _read_suffix(core.rest)
    return Version(
        tag,
        core.prefix,
        core.numbers,
        core.shape,
        core.is_date,
        core.pre_release or suffix.pre_release,
        suffix.words,
        suffix.variants,
        suffix.counters,
    )


def is_same_family(one: Version, other: Version) -> bool:
    """Return whether two versions compare: same prefix, suffix and number of parts, dates and pre-releases apart.

    A number in the suffix that says what the image is for must be the same: `16.4-alpine3.20` and `16.5-alpine3.21`
    are of two families. One that counts builds, such as that of `-ls45`, may differ.
    """
    is_alike = one.family == other.family and one.variants == other.variants
    return is_alike and (one.pre_release is None) == (other.pre_release is None)


def change_kind(before: Version, after: Version) -> Kind:
    """Return how much a newer version of a family differs: by the first of its numbers that does.

    A date says nothing of what breaks, so it is never major: another year or month of `2026.11.2` is minor, anything
    else of it, and any other day of `2026-11-29`, a patch.
    """
    pairs = zip(before.numbers, after.numbers, strict=False)
    place = next((place for place, (one, other) in enumerate(pairs) if one != other), len(before.numbers))
    if before.is_date:
        has_days = before.shape.startswith("day")
        return "minor" if place <= 1 and not has_days else "patch"
    return {0: "major", 1: "minor"}.get(place, "patch") if place < len(before.numbers) else "patch"


class Newest(NamedTuple):
    """The newest version in the tracked range, and the newest beyond it; None if it is not newer than the current."""

    tracked: Version | None = None
    beyond: Version | None = None


def newest(current: Version, tags: "Iterable[str]", track: "Track") -> Newest:
    """Return the newest versions among a repository's tags that a current one can be replaced with.

    Beyond the range, the number of the variant may be another: `16.9-alpine3.22` for one who has `16.4-alpine3.20`.
    Pre-releases are for those who have one, until its release is there.
    """
    found = _newer(current, tags)
    within = [version for version in found if track.includes(current, version)]
    tracked = within[-1] if within else None
    least = tracked or current
    beyond = [version for version in found if version not in within and version.order > least.order]
    return Newest(tracked, beyond[-1] if beyond else None)


def newer_versions(current: Version, tags: "Iterable[str]", track: "Track") -> tuple[Version, ...]:
    """Return all versions in the tracked range that a current one can be replaced with, the newest last."""
    return tuple(version for version in _newer(current, tags) if track.includes(current, version))


def _newer(current: Version, tags: "Iterable[str]") -> list[Version]:
    """Return the versions among tags that may follow the current one, the newest last."""
    found = (version for version in map(parse_version, set(tags)) if version and _may_follow(current, version))
    return sorted(found, key=lambda version: version.order)


def _may_follow(current: Version, version: Version) -> bool:
    """Return whether a version is newer, and of a family with the current one; its variant's number may differ."""
    is_final = version.pre_release is None
    is_alike = current.family == version.family and (is_final or current.pre_release is not None)
    return is_alike and _age(version) > _age(current)


def _age(version: Version) -> tuple[object, ...]:
    """Return what is newer about a version, without how it is written."""
    return version.order[:-1]


def _read_dated(tag: str) -> _Core | None:
    """Return what a tag with a day of the calendar in it says."""
    for found in _DATE.finditer(tag):
        if not _is_separate(tag[: found.start()]):
            continue
        digits = re.sub(r"\D", "", found["day"])
        year, month, day = int(digits[:4]), int(digits[4:6]), int(digits[6:8])
        if not _is_day(year, month, day):
            continue
        time = re.sub(r"\D", "", found["time"] or found["compact"] or "")
        further = tuple(int(number) for number in re.findall(r"\d{1,18}", found["rest"]))
        clock = tuple(int(time[place : place + 2]) for place in range(0, len(time), 2))
        shape = f"day{found['dash']}{'T#' * len(clock)}{'.#' * len(further)}"
        numbers = (year, month, day, *clock, *further)
        return _Core(tag[: found.start()], numbers, shape, tag[found.end() :], is_date=True)
    return None


def _is_separate(prefix: str) -> bool:
    """Return whether a date may follow: at the beginning or after words, not after other numbers (`9.4-20241023`)."""
    if prefix and prefix[-1] not in "-_.v":
        return False
    return not any(re.fullmatch(r"v?\d+", part) for part in re.split("[-_.]", prefix))


def _is_day(year: int, month: int, day: int) -> bool:
    try:
        return bool(date(year, month, day))
    except ValueError:
        return False


def _read_numbered(tag: str) -> _Core | None:
    """Return what a tag with numbers says: those of the first part that is a number, else of a word with a number."""
    parts = tag.split("-")
    found = [(place, _COMPONENT.fullmatch(part)) for place, part in enumerate(parts)]
    usable = [(place, match) for place, match in found if match and not _HASH.fullmatch(parts[place])]
    for place, match in usable:
        if match["word"].lower() in {"", "v"}:
            return _core_of(parts, place, match)
    for place, match in usable[:1]:
        if place == 0 and _may_precede(match["word"].lower(), parts[0].lower()):
            return _core_of(parts, place, match)
    return None


def _may_precede(word: str, part: str) -> bool:
    """Return whether the number after a word is a version, not that of a system or a processor."""
    is_processor = part in _ARCHITECTURES or word in {"x", "arm", "amd", "i"}
    return not (is_processor or {word, part} & (_SYSTEMS | set(_WORDS) | _MOVING))


def _core_of(parts: list[str], place: int, match: re.Match[str]) -> _Core | None:
    digits = re.findall(r"\d+", match["numbers"])
    if any(len(number) > _MOST_DIGITS for number in digits):
        return None
    numbers = tuple(int(number) for number in digits)
    before, after = parts[:place], parts[place + 1 :]
    prefix = "".join(f"{part}-" for part in before) + match["word"]
    pre_release = _pre_release(match["pre"]) if match["pre"] else None
    rest = "".join(f"-{part}" for part in after)
    return _Core(prefix, numbers, re.sub(r"\d+", "#", match["numbers"]), rest, _is_calendar(digits), pre_release)


def _is_calendar(digits: list[str]) -> bool:
    """Return whether numbers begin with a year and a month, as in `2026.11.2`."""
    is_year = len(digits) > 1 and re.fullmatch(r"(?:19|20)\d{2}", digits[0])
    return bool(is_year) and len(digits[1]) <= 2 and 1 <= int(digits[1]) <= 12  # noqa: PLR2004 - months


def _read_suffix(rest: str) -> _Suffix:
    """Return what follows a tag's numbers: words, numbers of both kinds, and the pre-release."""
    pre_release: PreRelease | None = None
    words, before = "", ""
    variants: list[tuple[int, ...]] = []
    counters: list[int] = []
    for part in re.findall(r"[-_.]?[^-]+", rest):
        separator, text = (part[0], part[1:]) if part[0] in "-_." else ("", part)
        marked = _pre_release(text)
        numbered = _SUFFIX_COMPONENT.fullmatch(text)
        if marked and pre_release is None:
            pre_release, text = marked, ""
            separator = ""
        elif _HASH.fullmatch(text):
            text = "(hash)"
        elif numbered and len(numbered[2]) <= _MOST_DIGITS:
            numbers = tuple(int(number) for number in numbered[2].split("."))
            text = f"{numbered[1]}#"
            if _counts_builds(numbered[1].rstrip("._"), numbers, before):
                counters += numbers
            else:
                variants.append(numbers)
        before = part.lstrip("-_.").lower()
        words += separator + text
    return _Suffix(words, tuple(variants), tuple(counters), pre_release)


def _counts_builds(word: str, numbers: tuple[int, ...], before: str) -> bool:
    """Return whether a number of a suffix counts builds; one after the name of a system is that system's version."""
    return word.lower() in _COUNTERS and len(numbers) == 1 and not (not word and before in _SYSTEMS)


def _pre_release(text: str) -> PreRelease | None:
    found = _PRE_RELEASE.fullmatch(text)
    if not found or len(found[2]) > _MOST_DIGITS:
        return None
    word = found[1].lower()
    if word in _NEEDS_NUMBER and not found[2]:
        return None
    return PreRelease(_WORDS[word], int(found[2] or 0))
