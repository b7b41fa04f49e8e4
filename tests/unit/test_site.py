"""The site of the documentation: built strictly, complete without a network, with a correct diagram."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dockyard.docs.switching import replacing, states
from dockyard.engine.dialect import DOCKER
from dockyard.plan.switch import plan_recovery

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"

FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
NOT_FETCHED = {"canonical", "next", "prev"}


class Loaded(HTMLParser):
    """The files that a browser loads for a page, and the classes in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.places: list[str] = []
        self.classes: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a tag."""
        given = {name: value or "" for name, value in attrs}
        self.classes |= set(given.get("class", "").split())
        place = given.get(FETCHED.get(tag, ""))
        if place and given.get("rel") not in NOT_FETCHED:
            self.places.append(place)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: every link and every anchor exists."""
    place = tmp_path_factory.mktemp("site")
    shutil.copytree(DOCS, place / "docs")
    shutil.copy(REPOSITORY / "zensical.toml", place)
    argv = (Path(sys.executable).with_name("zensical"), "build", "--strict")
    done = subprocess.run(argv, cwd=place, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return place / "site"


def test_the_site_has_every_page_and_loads_nothing_from_elsewhere(site: Path):
    """A reader without a network sees everything. Mermaid diagrams would need a script from another server."""
    for page in DOCS.rglob("*.md"):
        name = page.relative_to(DOCS).with_suffix("")
        html = site / (name.parent if name.name == "index" else name) / "index.html"
        loaded = Loaded(html.read_text(encoding="utf-8"))
        assert loaded.places
        assert [place for place in loaded.places if "//" in place] == []
        assert [place for place in loaded.places if not (html.parent / place).exists()] == []  # pictures too
        assert "mermaid" not in loaded.classes


def test_the_diagram_of_an_upgrade_shows_the_states_that_there_are():
    """The diagram contains exactly the states of a switch, each with the outcome of its recovery."""
    found = {}
    for _, containers in states(*replacing()):
        state = ", ".join(f"{name} {one.status}" for name, one in sorted(containers.items()))
        found[state] = plan_recovery("web", containers, DOCKER).verdict or "in order"
    picture = (DOCS / "explanation/upgrade.svg").read_text(encoding="utf-8")
    assert dict(re.findall(r'data-state="([^"]+)" data-end="([^"]+)"', picture)) == found
