"""The site builds strictly, without the network; its links lead somewhere, and its pages look as meant."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
import yaml

import ProxyPatternPool as ppp

CONFIG = Path(__file__).parents[2] / "docs" / "mkdocs.yml"
PAGES = CONFIG.parent / "pages"
SOURCES = sorted(path.relative_to(PAGES).as_posix() for path in PAGES.rglob("*.md"))
HOST = "http://site"
LOADED = {"link", "script", "img", "iframe", "source", "audio", "video", "object", "embed"}
TEXT = {"p", "li", "td", "dd", "summary"}


class Page(HTMLParser):
    """What a page links to, loads, has anchors for, and says in its paragraphs, items and cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: list[str] = []
        self.images_without_text = 0
        self.open: list[str] = []
        self.texts: list[str] = []
        self.prompts: list[str] = []
        self.in_prompt = False
        self.in_article = self.in_code = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note what a tag refers to, or begin a text."""
        found = dict(attributes)
        if (target := found.get("href") or found.get("src")) is not None:
            linked = tag not in LOADED or found.get("rel") in ("canonical", "next", "prev")
            (self.links if linked else self.loads).append(target)
        if anchor := found.get("id"):
            self.anchors.append(anchor)
        self.images_without_text += tag == "img" and not found.get("alt")
        self.in_article += tag == "article"
        self.in_code += tag in ("pre", "code")
        self.in_prompt = tag == "span" and found.get("class") == "gp"
        if tag in TEXT:
            self.open.append("")

    def handle_data(self, data: str) -> None:
        """Take what stands there."""
        if self.in_prompt:
            self.prompts.append(data)
        if self.open and self.in_article and not self.in_code:
            self.open[-1] += data

    def handle_endtag(self, tag: str) -> None:
        """End a text."""
        self.in_prompt = False
        self.in_article -= tag == "article"
        self.in_code -= tag in ("pre", "code")
        if tag in TEXT and self.open:
            self.texts.append(self.open.pop())


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
    return {
        "/" + path.relative_to(site).as_posix().removesuffix("index.html"): Page(path.read_text("utf-8"))
        for path in sorted(site.rglob("*.html"))
    }


def test_every_page_is_there(pages: dict[str, Page]) -> None:
    """Each page of the documentation has its page on the site, and is in the menu, once."""
    assert {"/" + name.removesuffix("index.md").replace(".md", "/") for name in SOURCES} < set(pages)
    _, nav = CONFIG.read_text(encoding="utf-8").split("\nnav:\n")
    assert sorted(leaves(yaml.safe_load(nav.split("\nnot_in_nav")[0]))) == SOURCES


def leaves(entry: object) -> list[str]:
    """Give the pages of a part of the menu."""
    if isinstance(entry, dict):
        entry = list(entry.values())
    return [leaf for part in entry for leaf in leaves(part)] if isinstance(entry, list) else [str(entry)]


def test_no_link_is_broken(site: Path, pages: dict[str, Page]) -> None:
    """Each internal link leads to a page, and each of its anchors to a place on that page."""
    broken, seen = [], 0
    for address, page in pages.items():
        if address == "/404.html":  # its links are absolute, to wherever the site will be
            continue
        for link in page.links + page.loads:
            target, anchor = urldefrag(urljoin(HOST + address, link))
            if target.startswith(HOST):
                seen += 1
                path = unquote(urlsplit(target).path)
                there = path in pages or (site / path.lstrip("/")).is_file()
                known = not anchor or path not in pages or unquote(anchor) in pages[path].anchors
                broken += [] if there and known else [f"{address}: {link}"]
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
    texts = [entry["text"] for entry in index["docs"] if entry["location"].startswith("reference/")]
    for parameter in ppp.Pool.__init__.__annotations__.keys() - {"return"}:
        assert any(parameter in text for text in texts), parameter


def test_start_page_is_the_readme(site: Path) -> None:
    """The first page is the README, and its licence is at hand."""
    assert "pip install ProxyPatternPool" in (site / "index.html").read_text(encoding="utf-8")
    assert "CC0" in (site / "licence" / "index.html").read_text(encoding="utf-8")


def test_nothing_runs_into_a_paragraph(pages: dict[str, Page]) -> None:
    """No text holds an item of a list or a row of a table, or marks of Markdown that nothing has read."""
    texts = [(name, text) for name, page in pages.items() for text in page.texts]
    swallowed = r"\n\s*(?:(?:[-*+•]|\d{1,2}[.)]) |\|.*\|)"
    unread = r"\*\*\w|\]\(\w|^\s*(?:\?\?\?|!!!|--8<--|:::)"
    assert len(texts) > 1000
    assert [item for item in texts if re.search(f"{swallowed}|{unread}", item[1])] == []


def test_prompts_are_not_copied(pages: dict[str, Page]) -> None:
    """The prompt of a command is a span of its own, which the style leaves out when a block is copied."""
    prompts = [prompt for page in pages.values() for prompt in page.prompts]
    assert len(prompts) > 20
    assert set(prompts) == {"$ "}
    style = (PAGES / "assets" / "site.css").read_text(encoding="utf-8")
    assert re.search(r"\[data-md-copying\] \.gp, \[data-md-copying\] \.go \{ display: none; \}", style)
    for name in SOURCES:  # no other block has prompts
        for language, code in re.findall(
            r"^```(\w+)[^\n]*\n(.*?)^```", (PAGES / name).read_text(), re.M | re.S
        ):
            assert language == "console" or not re.search(r"^\$ ", code, re.M), name


def test_site_knows_its_address() -> None:
    """The addresses of the site and the repository are those of the distribution."""
    addresses = re.findall(r"^(site_url|repo_url): (\S+)$", CONFIG.read_text(encoding="utf-8"), re.M)
    project = (CONFIG.parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    assert dict(addresses).keys() == {"site_url", "repo_url"}
    assert all(f'= "{address}"' in project for _, address in addresses)
