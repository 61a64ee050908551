"""`python -m vfxmatte` is the program `vfxmatte`."""

from vfxmatte.cli.group import main

if __name__ == "__main__":
    main()
