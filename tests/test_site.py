"""The site builds strictly, without the network; its links, anchors and search lead where they should."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest

import ProxyPatternPool as ppp

CONFIG = Path(__file__).parents[1] / "docs" / "mkdocs.yml"
HOST = "http://site"
LOADED = {"link", "script", "img", "iframe", "source", "audio", "video", "object", "embed"}


class Page(HTMLParser):
    """What a page links to, loads, and has anchors for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: list[str] = []
        self.images_without_text = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note what a tag refers to."""
        found = dict(attributes)
        target = found.get("href") or found.get("src")
        if target is not None and tag == "link" and found.get("rel") in ("canonical", "next", "prev"):
            self.links.append(target)
        elif target is not None:
            (self.loads if tag in LOADED else self.links).append(target)
        if anchor := found.get("id"):
            self.anchors.append(anchor)
        self.images_without_text += tag == "img" and not found.get("alt")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(CONFIG), "-d", str(folder)],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=55.0,
    )
    assert (done.returncode, "WARNING" in done.stderr) == (0, False), done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    """Its pages, by their address."""
    found = {}
    for path in sorted(site.rglob("*.html")):
        address = "/" + path.relative_to(site).as_posix().removesuffix("index.html")
        found[address] = Page(path.read_text(encoding="utf-8"))
    return found


def test_every_page_is_there(pages: dict[str, Page]) -> None:
    """Each page of the documentation has its page on the site."""
    sources = (CONFIG.parent / "pages").rglob("*.md")
    wanted = {"/" + path.relative_to(CONFIG.parent / "pages").as_posix() for path in sources}
    assert {name.removesuffix("index.md").replace(".md", "/") for name in wanted} < set(pages)


def test_no_link_is_broken(site: Path, pages: dict[str, Page]) -> None:
    """Each internal link leads to a page, and each of its anchors to a place on that page."""
    broken = []
    seen = 0
    for address, page in pages.items():
        if address == "/404.html":  # its links are absolute, to wherever the site will be
            continue
        for link in page.links + page.loads:
            target, anchor = urldefrag(urljoin(HOST + address, link))
            if not target.startswith(HOST):
                continue
            seen += 1
            path = unquote(urlsplit(target).path)
            there = path in pages or (site / path.lstrip("/")).is_file()
            known = not anchor or path not in pages or unquote(anchor) in pages[path].anchors
            if not (there and known):
                broken.append(f"{address}: {link}")
    assert seen > 500
    assert broken == []


def test_anchors_are_unique(pages: dict[str, Page]) -> None:
    """No page has two places of one name."""
    for address, page in pages.items():
        twice = {anchor for anchor in page.anchors if page.anchors.count(anchor) > 1}
        assert {anchor for anchor in twice if not anchor.startswith("__")} == set(), address


def test_nothing_is_loaded_from_elsewhere(pages: dict[str, Page]) -> None:
    """No page loads a script, a style, a font or an image from another host; images have a text."""
    loaded = {load for page in pages.values() for load in page.loads}
    assert [load for load in loaded if urlsplit(load).netloc] == []
    assert sum(page.images_without_text for page in pages.values()) == 0


def test_search_finds_parameters(site: Path) -> None:
    """The search knows each parameter of a pool, and where it is described."""
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    texts = {entry["location"]: entry["text"] for entry in index["docs"]}
    for parameter in ppp.Pool.__init__.__annotations__.keys() - {"return"}:
        places = [location for location, text in texts.items() if parameter in text]
        assert any(place.startswith("reference/") for place in places), parameter
    assert len([location for location, text in texts.items() if "max_lifetime" in text]) > 3


@pytest.mark.parametrize("name", ["Pool", "Proxy"])
def test_reference_is_generated(pages: dict[str, Page], name: str) -> None:
    """The reference has a place for each class, and each method that users call."""
    anchors = set(pages["/reference/"].anchors)
    methods = [method for method in vars(getattr(ppp, name)) if not method.startswith("_")]
    own = {"Pool": ["__delete__"], "Proxy": ["_set", "_get_obj", "_ret_obj", "_obj"]}[name]
    wanted = [method for method in methods + own if callable(vars(getattr(ppp, name))[method])]
    wanted = [method for method in wanted if not isinstance(vars(getattr(ppp, name))[method], type)]
    expected = {f"ProxyPatternPool.{name}", *(f"ProxyPatternPool.{name}.{method}" for method in wanted)}
    assert expected <= anchors


def test_start_page_is_the_readme(site: Path) -> None:
    """The first page is the README, and its licence is at hand."""
    text = (site / "index.html").read_text(encoding="utf-8")
    assert "pip install ProxyPatternPool" in text
    assert "CC0" in (site / "licence" / "index.html").read_text(encoding="utf-8")
