"""The pages: all of docs/ are in the index, their links lead somewhere, and they stay readable."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INDEX = ROOT / "docs" / "README.md"
PAGES = sorted((ROOT / "docs").rglob("*.md"))
OTHERS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "vfxmatte" / "weights").glob("*.md")),
    ROOT / "sample_shots" / "README.md",
    ROOT / "vfxmatte" / "serve" / "PROTOCOL.md",
    ROOT / "training" / "KEYS.md",
]
MANUAL = [ROOT / "README.md", *(page for page in PAGES if page.parent.name != "lab")]
MOST_LINES, MOST_WORDS = 120, 16_000
HTML_OR_MARKDOWN = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")


def addresses(page: Path) -> list[tuple[str, str]]:
    """File (empty: this page) and anchor of every link; what stands in code is no link."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.DOTALL)
    found = [one or other for one, other in HTML_OR_MARKDOWN.findall(text)]
    return [(f.partition("#")[0], f.partition("#")[2]) for f in found if "://" not in f]


def links(page: Path) -> list[str]:
    """Addresses of files, without their anchors."""
    return [file for file, _ in addresses(page) if file]


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


def test_the_index_has_every_page() -> None:
    linked = {(INDEX.parent / link).resolve() for link in links(INDEX)}
    assert linked >= {page.resolve() for page in PAGES if page != INDEX}


@pytest.mark.parametrize(
    "page", [*OTHERS, *PAGES], ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_links_lead_somewhere(page: Path) -> None:
    gone = [link for link in links(page) if not (page.parent / link).exists()]
    assert not gone
    targets = [(page.parent / file if file else page, anchor) for file, anchor in addresses(page)]
    wrong = [(file.name, one) for file, one in targets if one and one not in anchors(file)]
    assert not wrong


@pytest.mark.parametrize("page", MANUAL[1:], ids=lambda page: page.name)
def test_pages_of_the_manual_are_short(page: Path) -> None:
    assert page.read_text("utf-8").count("\n") <= MOST_LINES


def test_the_manual_is_short() -> None:
    assert sum(len(page.read_text("utf-8").split()) for page in MANUAL) <= MOST_WORDS
