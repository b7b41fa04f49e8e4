"""Lists of packages, what changes between them, and how that is put into words."""

from hypothesis import given
from hypothesis import strategies as st

from dockyard.packages.compare import ImageDifference
from dockyard.packages.package import Package, PackageChange, name_packages, package_changes
from dockyard.packages.words import describe_changes, describe_difference

NAMES = st.sampled_from(["openssl", "libssl3", "zlib1g", "curl", "tzdata"])
LISTS = st.dictionaries(NAMES, st.sampled_from(["1", "2", "3"])).map(
    lambda found: {name: Package(name, version, "amd64") for name, version in found.items()}
)


def test_a_second_architecture_has_a_name_of_its_own() -> None:
    """As dpkg names it; what fits all architectures has none."""
    found = name_packages(
        [
            Package("libc6", "1", "amd64"),
            Package("libc6", "2", "i386"),
            Package("bash", "1", "amd64"),
            Package("tzdata", "3", "all"),
        ]
    )
    assert {name: one.version for name, one in found.items()} == {
        "bash": "1",
        "libc6": "1",
        "libc6:i386": "2",
        "tzdata": "3",
    }


def test_several_versions_of_a_package_are_all_listed() -> None:
    """Rpm installs several kernels side by side."""
    found = name_packages([Package("kernel", "6.2", "x86_64"), Package("kernel", "6.1", "x86_64")])
    assert found["kernel"].version == "6.1, 6.2"


@given(LISTS, LISTS)
def test_changes_lead_from_one_list_to_the_other(before: dict[str, Package], after: dict[str, Package]) -> None:
    """Applied to the first list, they give the second; between equal lists there are none."""
    versions = {name: one.version for name, one in before.items()}
    for change in package_changes(before, after):
        assert versions.get(change.name, "") == change.before
        versions[change.name] = change.after
    assert {name: version for name, version in versions.items() if version} == {
        name: one.version for name, one in after.items()
    }
    assert package_changes(before, before) == ()


def test_the_words_are_those_of_the_report() -> None:
    """A version is shown on both sides; files are counted."""
    difference = ImageDifference((PackageChange("openssl", "3.0.15", "3.0.17"),), 2)
    assert describe_difference(difference) == "openssl 3.0.15 → 3.0.17, 2 files"
    assert describe_difference(ImageDifference(files=1)) == "1 file"
    assert describe_difference(ImageDifference(configuration=True)) == "its configuration"
    assert describe_difference(ImageDifference()) == ""


def test_what_is_new_and_what_is_gone_follow_new_versions() -> None:
    """Programs come before libraries and data."""
    changes = [
        PackageChange("curl", "", "8"),
        PackageChange("libz", "1", "2"),
        PackageChange("nano", "7", ""),
        PackageChange("tzdata", "a", "b"),
    ]
    assert describe_changes(changes) == "tzdata a → b, libz 1 → 2, nano 7 (removed), curl 8 (new)"


def test_packages_of_one_source_are_one_group() -> None:
    """What changes between the same two versions is named once."""
    changes = [PackageChange(f"lib{letter}", "1", "2") for letter in "abc"]
    assert describe_changes([*changes, PackageChange("tool", "1", "2")]) == "tool and 3 others 1 → 2"


def test_of_many_the_first_are_named() -> None:
    """The rest is a number, in which each package counts."""
    changes = [PackageChange(f"p{number}", f"{number}", f"{number}.1") for number in range(17)]
    text = describe_changes(changes)
    assert text.startswith("p0 0 → 0.1, ")
    assert text.endswith(" and 12 more")


def test_nothing_in_a_change_reaches_a_terminal() -> None:
    """A history may be read that something else has written."""
    assert "\x1b" not in describe_changes([PackageChange("a\x1b[2J", "1\n", "2")])
    assert "\n" not in describe_changes([PackageChange("a", "1\n", "2")])
