"""The pages of docs/: all can be found from the index, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INDEX = ROOT / "docs" / "README.md"
PAGES = sorted((ROOT / "docs").rglob("*.md"))
HTML_OR_MARKDOWN = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")


def links(page: Path) -> list[str]:
    """Addresses of files, without their anchors; what stands in code is no link."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.DOTALL)
    found = [one or other for one, other in HTML_OR_MARKDOWN.findall(text)]
    return [f.partition("#")[0] for f in found if "://" not in f and not f.startswith("#")]


def test_the_index_has_every_page() -> None:
    linked = {(INDEX.parent / link).resolve() for link in links(INDEX)}
    assert linked >= {page.resolve() for page in PAGES if page != INDEX}


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *PAGES], ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_links_lead_somewhere(page: Path) -> None:
    gone = [link for link in links(page) if not (page.parent / link).exists()]
    assert not gone
