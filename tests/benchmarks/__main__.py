"""The program `python -m tests.benchmarks`."""

from __future__ import annotations

import sys

from tests.benchmarks.command import command
from vfxmatte.errors import VfxmatteError


def main() -> None:
    try:
        command(prog_name="python -m tests.benchmarks")
    except VfxmatteError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
