"""Broken input for every reader and every message: `python -m tests.fuzz --minutes 10`."""
