"""The artist's preferences for the page: brush, overlay, background; kept for the next time.

The browser forgets them: to it, every port is another site.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from vfxmatte.errors import OutputError, UsageError
from vfxmatte.io.temporary import write_whole

_MOST = 64  # preferences
_MOST_CHARACTERS = 200  # of a name or a value


class Preferences:
    """Texts by name, in ~/.vfxmatte/paint.json ($VFXMATTE_HOME replaces ~/.vfxmatte)."""

    def __init__(self) -> None:
        home = Path(os.environ.get("VFXMATTE_HOME") or Path.home() / ".vfxmatte")
        self._path = home / "paint.json"
        self._lock = threading.Lock()

    def read(self) -> dict[str, str]:
        """Return the preferences; none where the file is missing or no such file."""
        try:
            record = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        items = record.items() if isinstance(record, dict) else ()
        return {name: value for name, value in items if _is_fine(name) and _is_fine(value)}

    def write(self, name: str, value: str) -> None:
        """Change one preference; a disk that cannot keep it is not the artist's concern.

        Raises UsageError for one that is too long, or one too many.
        """
        with self._lock:
            changed = {**self.read(), name: value}
            if not (_is_fine(name) and _is_fine(value)) or len(changed) > _MOST:
                raise UsageError("this preference cannot be kept: it is too long, or one too many")
            try:
                write_whole(self._path, json.dumps(changed, indent=1))
            except (OSError, OutputError):
                return


def _is_fine(text: object) -> bool:
    return isinstance(text, str) and len(text) <= _MOST_CHARACTERS
