"""What of an image stays: what was opened, how it was reached, what that needs, and what nobody can see."""

from dockyard.surface.elf import Needs
from dockyard.surface.needed import ALWAYS, KEPT, USED, VOLUME, Opened, Wanted, needed
from dockyard.surface.recorder import Use
from dockyard.surface.tree import Tree
from dockyard.surface.trim import named_in, parted
from dockyard.surface.way import way
from tests.unit.surface.trees import SCRIPT, directory, file, link, program, tree

IMAGE = tree(
    {
        "/usr/bin/busybox": program(),
        "/usr/bin/server": program(),
        "/usr/lib/libx.so.1.2": program(),
        "/usr/lib/libx.so.1": link("libx.so.1.2"),
        "/usr/lib/libc.so.6": program(),
        "/usr/lib/ld.so": program(),
        "/lib": link("usr/lib"),
        "/bin/sh": link("../usr/bin/busybox"),
        "/bin/awk": link("../usr/bin/busybox"),
        "/bin/start": program(SCRIPT),
        "/etc/passwd": file(),
        "/etc/server/main.conf": file(),
        "/etc/server/unused.conf": file(),
        "/etc/server.conf": link("server/main.conf"),
        "/var/log/access.log": link("/dev/stdout"),
        "/var/lib/server": directory(0o700),
        "/usr/share/zoneinfo/Europe/Vienna": file(),
        "/usr/share/zoneinfo/UTC": file(),
        "/data/first": file(),
    }
)
NEEDS = {"/usr/bin/server": Needs("/lib/ld.so", ("libx.so.1", "libc.so.6"))}


def kept(*opened: Opened, keep: tuple[str, ...] = (), volumes: tuple[str, ...] = (), image: Tree = IMAGE) -> set[str]:
    """Return the files and links that stay."""
    why = needed(image, Wanted(opened, keep, volumes), lambda path: NEEDS.get(path, Needs()))
    return {path for path in why if not image[path].is_directory}


def test_what_was_opened_stays_with_the_links_that_led_to_it():
    assert kept(Opened("/etc/server/main.conf", "/etc/server.conf")) >= {"/etc/server/main.conf", "/etc/server.conf"}
    assert "/etc/server/unused.conf" not in kept(Opened("/etc/server/main.conf"))


def test_a_name_of_a_program_stays_only_where_it_was_called_by_it():
    """One program, many names: that a shell is in it does not leave `/bin/sh` there for whoever breaks in."""
    files = kept(Opened("/usr/bin/busybox", "/bin/awk"))
    assert {"/usr/bin/busybox", "/bin/awk"} <= files
    assert "/bin/sh" not in files


def test_a_name_that_leads_elsewhere_is_not_believed():
    """What a process has asked for may have changed under our eyes, or be a way through /proc."""
    assert "/bin/sh" not in kept(Opened("/usr/bin/server", "/bin/sh"))
    assert "/usr/bin/server" in kept(Opened("/usr/bin/server", "/proc/self/exe"))


def test_a_program_stays_with_its_loader_and_libraries():
    files = kept(keep=("/usr/bin/server",))
    assert {"/usr/bin/server", "/usr/lib/ld.so", "/usr/lib/libx.so.1", "/usr/lib/libx.so.1.2"} <= files
    assert "/usr/bin/busybox" not in files


def test_a_script_stays_with_its_interpreter_by_the_name_that_it_has_for_it():
    assert {"/bin/start", "/bin/sh", "/usr/bin/busybox"} <= kept(Opened("/bin/start", "/bin/start"))


def test_all_directories_stay_and_links_that_are_no_programs():
    """Nothing tells which directory a program looks for; a link to a device is opened elsewhere."""
    why = needed(IMAGE, Wanted(()), lambda _: Needs())
    assert {path for path, entry in IMAGE.items() if entry.is_directory} <= why.keys()
    assert {"/var/log/access.log", "/lib"} <= why.keys()
    assert "/etc/server.conf" not in why
    assert why["/etc/passwd"] == ALWAYS


def test_what_the_settings_keep_stays():
    files = kept(keep=("/usr/share/zoneinfo/",))
    assert {"/usr/share/zoneinfo/Europe/Vienna", "/usr/share/zoneinfo/UTC"} <= files
    why = needed(IMAGE, Wanted((), ("/usr/share/**/UTC",)), lambda _: Needs())
    assert why["/usr/share/zoneinfo/UTC"] == KEPT
    assert "/usr/share/zoneinfo/Europe/Vienna" not in why


def test_a_volumes_first_content_stays():
    """The engine copies it before anything runs, from where no opening is seen to where none is."""
    why = needed(IMAGE, Wanted((Opened("/usr/bin/server"),), (), ("/data",)), lambda _: Needs())
    assert (why["/data/first"], why["/usr/bin/server"]) == (VOLUME, USED)


def test_a_way_never_leads_out_of_the_image():
    image = tree({"/a/up": link("../../../../etc/passwd"), "/etc/passwd": file(), "/loop": link("/loop/x")})
    assert way(image, "/a/up").end == "/etc/passwd"
    assert way(image, "/../../etc/./passwd").end == "/etc/passwd"
    assert way(image, "/loop").end == ""
    assert way(image, "/etc/passwd/x").end == ""


def test_a_transcript_names_what_may_be_missing():
    """A whole path, or a program by its name; a word that contains one is another word."""
    dropped = ["/bin/grep", "/etc/ssl/cert.pem", "/bin/sh", "/srv/a"]
    text = 'exec: "grep": executable file not found; cannot open /etc/ssl/cert.pem; pushing'
    assert named_in(text, dropped) == ["/bin/grep", "/etc/ssl/cert.pem"]


def test_what_only_the_test_opened_is_apart():
    """What the service itself has made is no file of the image."""
    uses = [
        Use("/a", "/a", False, "service"),
        Use("/a", "/a", True, "test"),
        Use("/b", "", True, "test"),
        Use("/new", "", False, "service"),
    ]
    assert parted(uses, tree({"/a": file(), "/b": file()})) == {"service": ("/a",), "test": ("/b",)}
