"""`python -m vfxmatte.bench`: the same as `vfxmatte bench`; measured processes start with it."""

from __future__ import annotations

import sys

from vfxmatte.cli.bench import command
from vfxmatte.errors import VfxmatteError


def main() -> None:
    try:
        command(prog_name="vfxmatte bench")
    except VfxmatteError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
