"""The site builds strictly, without the network; its links lead somewhere, and its pages look as meant."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
from pages import DOCS, PAGES, ROOT
from servers import environ, run

import ProxyPatternPool as ppp

CONFIG = (DOCS / "mkdocs.yml").read_text(encoding="utf-8")
SOURCES = sorted(PAGES.keys() - {"README.md"})
HOST = "http://site"
LOADED = {"link", "script", "img", "iframe", "source", "audio", "video", "object", "embed"}
CODE = re.compile(r"<(pre|code)\b.*?</\1>", re.DOTALL)
BLOCKS = re.compile(r"</?(?:p|li|ul|ol|dl|dt|dd|td|th|tr|table|div|details|summary|h\d)\b[^>]*>")


class Page(HTMLParser):
    """What a page links to, loads, has anchors for, and says in its paragraphs, items and cells."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: list[str] = []
        self.images_without_text = 0
        source = path.read_text(encoding="utf-8")
        self.feed(source)
        self.prompts = re.findall(r"<span class=\"?gp\"?>([^<]*)", source)
        article = CODE.sub("", source.partition("<article")[2].partition("</article>")[0])
        self.texts = [unescape(re.sub(r"<[^>]*>", "", text)) for text in BLOCKS.split(article)]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note what a tag refers to."""
        found = {name: value for name, value in attributes if value}
        linked = tag not in LOADED or found.get("rel") in ("canonical", "next", "prev")
        (self.links if linked else self.loads).extend(found[it] for it in ("href", "src") if it in found)
        self.anchors += [found["id"]] if "id" in found else []
        self.images_without_text += tag == "img" and "alt" not in found


class Site(dict[str, Page]):
    """The pages of the built site by their address, and its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for path in sorted(folder.rglob("*.html")):
            self["/" + path.relative_to(folder).as_posix().removesuffix("index.html")] = Page(path)

    def links(self, address: str) -> list[str]:
        """Give the whole addresses within the site that a page links to or loads."""
        if address == "/404.html":  # its links are absolute, to wherever the site will be
            return []
        links = [urljoin(HOST + address, link) for link in self[address].links + self[address].loads]
        return [link for link in links if link.startswith(HOST)]

    def has(self, address: str) -> bool:
        """Tell whether a page of the site, and its anchor, or a file is at that address."""
        target, anchor = urldefrag(address)
        path = unquote(urlsplit(target).path)
        if path in self:
            return not anchor or unquote(anchor) in self[path].anchors
        return (self.folder / path.lstrip("/")).is_file()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site, built as `make docs` does it."""
    folder = tmp_path_factory.mktemp("site")
    build = ("mkdocs", "build", "--strict", "-f", DOCS / "mkdocs.yml", "-d", folder)
    done = run(sys.executable, "-m", *build, env=environ(NO_MKDOCS_2_WARNING="1"))
    assert "WARNING" not in done.stderr, done.stderr
    return Site(folder)


def test_every_page_is_there(site: Site) -> None:
    """Each page of the documentation is on the site and in the menu, once; the first is the README."""
    assert {"/" + name.removesuffix("index.md").replace(".md", "/") for name in SOURCES} < set(site)
    menu = CONFIG.partition("\nnav:\n")[2].partition("\nnot_in_nav")[0]
    assert sorted(re.findall(r"([\w/-]+\.md)$", menu, flags=re.MULTILINE)) == SOURCES
    assert "pip install ProxyPatternPool" in (site.folder / "index.html").read_text(encoding="utf-8")
    assert "CC0" in (site.folder / "licence" / "index.html").read_text(encoding="utf-8")


def complaints(site: Site, address: str) -> Iterator[str]:
    """Find what is wrong with a page."""
    page = site[address]
    yield from (f"a broken link: {link}" for link in site.links(address) if not site.has(link))
    named = Counter(anchor for anchor in page.anchors if not anchor.startswith("__"))
    yield from (f"two places of one name: {anchor}" for anchor, times in named.items() if times > 1)
    yield from (f"loaded from elsewhere: {load}" for load in page.loads if urlsplit(load).netloc)
    if page.images_without_text:
        yield "an image without a text"
    swallowed = r"\n\s*(?:(?:[-*+•]|\d{1,2}[.)]) |\|.*\|)"  # an item of a list, a row of a table
    unread = r"\*\*\w|\]\(\w|^\s*(?:\?\?\?|!!!|--8<--|:::)"  # Markdown that nothing has read
    yield from (f"run together: {text}" for text in page.texts if re.search(f"{swallowed}|{unread}", text))
    yield from (f"an unknown prompt: {prompt}" for prompt in page.prompts if prompt != "$ ")


def test_pages_are_sound(site: Site) -> None:
    """Links lead to pages and places, nothing comes from another host, and no list runs into a text."""
    assert {address: found for address in site if (found := list(complaints(site, address)))} == {}
    assert sum(len(site.links(address)) for address in site) > 500
    assert sum(len(page.texts) for page in site.values()) > 1000
    assert sum(len(page.prompts) for page in site.values()) > 20


def test_search_finds_parameters(site: Site) -> None:
    """The search knows each parameter of a pool, and where it is described."""
    index = json.loads((site.folder / "search" / "search_index.json").read_text(encoding="utf-8"))
    texts = [entry["text"] for entry in index["docs"] if entry["location"].startswith("reference/")]
    for parameter in ppp.Pool.__init__.__annotations__.keys() - {"return"}:
        assert any(parameter in text for text in texts), parameter


def test_configuration() -> None:
    """The site knows its address and the repository's; its style leaves prompts out of what is copied."""
    addresses = dict(re.findall(r"^(site_url|repo_url): (\S+)$", CONFIG, re.MULTILINE))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert addresses.keys() == {"site_url", "repo_url"}
    assert all(f'= "{address}"' in project for address in addresses.values())
    style = (DOCS / "pages" / "assets" / "site.css").read_text(encoding="utf-8")
    assert re.search(r"\[data-md-copying\] \.gp, \[data-md-copying\] \.go \{ display: none; \}", style)
