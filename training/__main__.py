"""`python -m training` is `vfxmatte-train`."""

from training.cli import main

main()
