"""Benchmarks of this machine on synthetic frames and shots."""
