"""The project's own benchmarks and targets: `python -m tests.benchmarks`, from a clone.

What a user asks of a machine is `vfxmatte bench`.
"""
