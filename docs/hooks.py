"""What the site does beside mkdocs: its first page is the README, and the licence is a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]


def on_files(files: Files, *, config: Any) -> Files:
    """Add the licence, which the README links to."""
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    files.append(File.generated(config, "licence.md", content=f"# Licence\n\n```text\n{text}```\n"))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Put the README in place of the first page; its links are those of the repository."""
    if page.file.src_uri != "index.md":
        return markdown
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return text.replace("](docs/pages/", "](").replace("](LICENSE)", "](licence.md)")
