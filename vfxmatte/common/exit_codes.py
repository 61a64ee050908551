"""The exit codes of the command line programs."""

DONE = 0
SOME_FAILED = 1
WRONG_USE = 2
NOTHING_DONE = 3
INTERRUPTED = 130
"""A shell's own exit code for Ctrl-C."""
