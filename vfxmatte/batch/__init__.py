"""Many shots, one after another: checked together, solved with one engine, reported as one."""
