"""Pages for the browser, and how their files become one.

A page's HTML names its styles and scripts by `<link rel="stylesheet" href="NAME">` and
`<script src="NAME"></script>`: as it stands it works from a server, or from this folder.
"""

from __future__ import annotations

import re
from importlib.resources import files

_STYLE = re.compile(r'<link rel="stylesheet" href="([\w.]+\.css)">')
_SCRIPT = re.compile(r'<script src="([\w.]+\.js)"></script>')


def page_file(name: str) -> str:
    """Return the text of one of the pages' files."""
    return files(__name__).joinpath(name).read_text("utf-8")


def inlined(name: str) -> str:
    """Return a page's HTML with its styles and scripts in it, so that it needs no other file."""
    html = page_file(name)
    html = _STYLE.sub(lambda match: f"<style>\n{page_file(match[1])}</style>", html)
    return _SCRIPT.sub(lambda match: f"<script>\n{page_file(match[1])}</script>", html)
