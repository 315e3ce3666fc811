"""The site builds strictly, without the network, and its pages look as meant."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from pages import DOCS, PAGES, ROOT
from servers import environ, run

import ProxyPatternPool as ppp

CONFIG = (DOCS / "mkdocs.yml").read_text(encoding="utf-8")
SOURCES = sorted(PAGES.keys() - {"README.md"})
WRONG = re.compile(
    r"<(?:script|img|iframe|source|audio|video|object|embed|link rel=.(?:icon|stylesheet).)"
    r'[^>]* (?:src|href)="?(?:https?:)?//[^>]*>'  # something of another host
    r"|<img(?![^>]* alt=)[^>]*>"  # an image without a text
    r'|<span class="?gp"?>(?!\$ <)[^<]*'  # an unknown prompt
)
CODE = re.compile(r"<(pre|code)\b.*?</\1>", re.DOTALL)
BLOCKS = re.compile(r"</?(?:p|li|ul|ol|dl|dt|dd|td|th|tr|table|div|details|summary|h\d)\b[^>]*>")
UNREAD = re.compile(
    r"\n\s*(?:(?:[-*+•]|\d{1,2}[.)]) |\|.*\|)"  # an item of a list or a row of a table, run into a text
    r"|\*\*\w|\]\(\w|^\s*(?:\?\?\?|!!!|--8<--|:::)"  # Markdown that nothing has read
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The files of the site, built as `make docs` does it, which a broken link or anchor ends."""
    folder = tmp_path_factory.mktemp("site")
    build = ("mkdocs", "build", "--strict", "-f", DOCS / "mkdocs.yml", "-d", folder)
    done = run(sys.executable, "-m", *build, env=environ(NO_MKDOCS_2_WARNING="1"))
    assert "WARNING" not in done.stderr, done.stderr
    found = [*folder.rglob("*.html"), folder / "search" / "search_index.json"]
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in found}


def test_every_page_is_there(site: dict[str, str]) -> None:
    """Each page of the documentation is on the site and in the menu, once; the first is the README."""
    pages = (name.removesuffix(".md").removesuffix("index") for name in SOURCES)
    assert {Path(page, "index.html").as_posix() for page in pages} < site.keys()
    menu = CONFIG.partition("\nnav:\n")[2].partition("\nnot_in_nav")[0]
    assert sorted(re.findall(r"([\w/-]+\.md)$", menu, flags=re.MULTILINE)) == SOURCES
    assert "pip install ProxyPatternPool" in site["index.html"]
    assert "CC0" in site["licence/index.html"]


def complaints(html: str) -> Iterator[str]:
    """Find what is wrong with a page."""
    yield from WRONG.findall(html)
    named = Counter(re.findall(r' id="?([^"\s>]+)', html))
    yield from (anchor for anchor, times in named.items() if times > 1 and not anchor.startswith("__"))
    article = CODE.sub("", html.partition("<article")[2].partition("</article>")[0])
    texts = (unescape(re.sub(r"<[^>]*>", "", text)) for text in BLOCKS.split(article))
    yield from (text for text in texts if UNREAD.search(text))


def test_pages_are_sound(site: dict[str, str]) -> None:
    """Nothing comes from another host, images have texts, names are unique, no list runs into a text."""
    pages = {name: html for name, html in site.items() if name.endswith(".html")}
    assert {name: found for name, html in pages.items() if (found := list(complaints(html)))} == {}
    assert sum(len(re.findall(r'<span class="?gp"?>', html)) for html in pages.values()) > 20


def test_search_finds_parameters(site: dict[str, str]) -> None:
    """The search knows each parameter of a pool, and where it is described."""
    entries = json.loads(site["search/search_index.json"])["docs"]
    text = "\n".join(entry["text"] for entry in entries if entry["location"].startswith("reference/"))
    assert [name for name in ppp.Pool.__init__.__annotations__.keys() - {"return"} if name not in text] == []


def test_configuration() -> None:
    """The site knows its address and the repository's, and copies no prompts; broken anchors are warnings."""
    addresses = dict(re.findall(r"^(site_url|repo_url): (\S+)$", CONFIG, re.MULTILINE))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert addresses.keys() == {"site_url", "repo_url"}
    assert "anchors: warn" in CONFIG
    assert all(f'= "{address}"' in project for address in addresses.values())
    style = (DOCS / "pages" / "assets" / "site.css").read_text(encoding="utf-8")
    assert re.search(r"\[data-md-copying\] \.gp, \[data-md-copying\] \.go \{ display: none; \}", style)
