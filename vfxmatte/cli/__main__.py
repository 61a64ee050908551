"""The entry point of `python -m vfxmatte.cli`."""

from vfxmatte.cli.group import main

if __name__ == "__main__":
    main()
