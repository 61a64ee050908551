"""Folder names for datablocks and .blend files, valid on every file system."""

from __future__ import annotations

import hashlib
import re
import unicodedata

_MOST_CHARACTERS = 40
_DIGEST_CHARACTERS = 8
_REFUSED = re.compile(r"[^\w.-]*[^\w. -][^\w.-]*")  # with the spaces around it
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)(\..*)?", re.IGNORECASE)


def folder_name(name: str) -> str:
    """Return a folder name for `name`; different names give different folders.

    A name that some file system refuses or changes (slashes, emoji, `con`, a trailing dot, very
    long names) is simplified and gets a digest of the original, so that such names stay distinct.
    """
    plain = _REFUSED.sub("_", unicodedata.normalize("NFC", name)).strip(" .")
    plain = plain[:_MOST_CHARACTERS].strip(" .") or "unnamed"
    if _RESERVED.fullmatch(plain):
        plain = f"_{plain}"
    return plain if plain == name else f"{plain.rstrip('_')}-{_digest(name)}"


def _digest(name: str) -> str:
    data = name.encode("utf-8", "surrogatepass")
    return hashlib.sha256(data).hexdigest()[:_DIGEST_CHARACTERS]
